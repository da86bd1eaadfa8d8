//! What the name of a column says word by word, where it is not one of the usual names: `cust_first_nm`,
//! `BusinessPhone`, `Fecha de nacimiento`.

use super::meaning::Meaning;

/// What a word stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    Given,
    Family,
    Middle,
    /// Of a name or of anything else.
    Suffix,
    Age,
    /// Of the person as a whole.
    Name,
    /// Whose name it may be.
    Person,
    /// All of a name.
    Full,
    Birth,
    Year,
    Month,
    Day,
    Email,
    Phone,
    Postal,
    City,
    State,
    Address,
    Street,
    House,
    Number,
    /// The second line and further ones.
    Second,
    Unit,
    Gender,
    /// Something else: what the column says is not about the person, but for ways to reach them there.
    Other,
    /// Somebody else, and how to reach them.
    Somebody,
}

/// Words, in lower case and without accents, by what they stand for: English with its abbreviations, German, French,
/// Spanish, Portuguese, Italian, Dutch.
#[rustfmt::skip]
const SENSES: &[(Sense, &[&str])] = &[
    (Sense::Given, &["first", "given", "forename", "forenames", "fname", "vorname", "prenom", "prenoms", "nombre", "nombres", "voornaam", "fornavn", "fornamn", "imie", "etunimi", "keresztnev"]),
    (Sense::Family, &["last", "family", "surname", "surnames", "lname", "nachname", "familienname", "nom", "apellido", "apellidos", "cognome", "sobrenome", "apelido", "achternaam", "nazwisko", "etternavn", "efternavn", "efternamn", "sukunimi", "vezeteknev", "prijmeni"]),
    (Sense::Middle, &["middle", "mid", "midl"]),
    (Sense::Suffix, &["suffix", "suff", "suf", "sufx", "sfx"]),
    (Sense::Age, &["age", "alter", "edad", "eta", "idade", "leeftijd"]),
    (Sense::Name, &["name", "names", "nm", "naam", "nome"]),
    (Sense::Person, &["customer", "cust", "client", "contact", "person", "per", "patient", "pat", "member", "mbr", "voter", "resident", "employee", "emp", "student", "guest", "owner", "subscriber", "applicant", "individual", "party", "buyer", "recipient", "insured", "debtor", "display", "legal", "kunde", "kunden", "klant", "cliente", "usual", "current", "cardholder", "holder", "ansprechpartner", "titular", "kontakt", "paziente", "usager", "assure", "lessee", "tenant"]),
    (Sense::Full, &["full", "complete", "whole", "completo", "complet", "voll", "vollstandiger", "raw", "text"]),
    (Sense::Birth, &["birth", "dob", "birthdate", "birthday", "born", "geburt", "geburts", "geburtsdatum", "geburtstag", "geboren", "naissance", "naiss", "nacimiento", "nascita", "nascimento", "geboortedatum", "bdate", "brth", "bday", "nasc", "nac", "nacim", "fnac", "ddn", "geb", "gebdat", "gebdatum", "fodselsdato", "fodelsedatum", "urodzenia", "narozeni", "szuletesi", "syntymaaika", "datenaiss", "datanasc", "dtnasc"]),
    (Sense::Year, &["year", "yr", "yyyy", "jahr", "annee", "ano", "anno"]),
    (Sense::Month, &["month", "mon", "mo", "mm", "monat", "mois", "mes", "mese", "maand"]),
    (Sense::Day, &["day", "dy", "dd", "tag", "jour", "dia", "giorno", "dag"]),
    (Sense::Email, &["email", "mail", "correo", "courriel"]),
    (Sense::Phone, &["phone", "phones", "phon", "ph", "tel", "telephone", "telefon", "telefono", "telefone", "telefoon", "fon", "tlf", "mobile", "mobil", "movil", "cell", "cellular", "celular", "cellulare", "handy", "portable", "gsm", "msisdn", "rufnummer", "rufnr", "festnetz", "fone", "contato", "contacto", "recapito", "telefonszam", "puhelin", "telefonnummer", "telefoonnummer", "mobilnummer", "handynummer"]),
    (Sense::Postal, &["postal", "postcode", "zip", "zipcode", "plz", "postleitzahl", "cep", "cap", "cp", "pincode", "eircode", "postlz", "codpost", "codigopostal", "codepostal", "postnr", "postnummer", "postinumero", "pocztowy", "psc", "iranyitoszam"]),
    (Sense::City, &["city", "cty", "town", "suburb", "locality", "municipality", "ort", "wohnort", "stadt", "ville", "commune", "ciudad", "localidad", "poblacion", "municipio", "citta", "comune", "cidade", "plaats", "woonplaats", "localite", "miasto", "stad", "kaupunki", "gemeente"]),
    (Sense::State, &["state", "st", "province", "prov", "region", "county", "bundesland", "provincia", "estado", "departement", "uf"]),
    (Sense::Address, &["address", "addr", "adr", "adresse", "anschrift", "direccion", "domicilio", "indirizzo", "endereco", "adres", "residence", "domicile"]),
    (Sense::Street, &["street", "strasse", "str", "rue", "calle", "rua", "via", "straat", "voie", "logradouro", "ulica", "utca"]),
    (Sense::House, &["house", "hausnummer", "hnr", "huisnummer", "premise", "haus", "hausnr"]),
    (Sense::Number, &["number", "num", "no", "nr", "nummer", "numero", "numer", "cislo"]),
    (Sense::Second, &["2", "3", "two", "second", "zusatz", "complement", "complemento"]),
    (Sense::Unit, &["unit", "apt", "apartment", "flat", "suite", "building", "bldg"]),
    (Sense::Gender, &["sex", "gender", "geschlecht", "sexe", "sexo", "sesso", "genero", "geslacht", "gndr", "geschl", "plec", "kjonn", "kon", "sukupuoli"]),
    (Sense::Other, &["company", "organization", "organisation", "org", "employer", "business", "firm", "firma", "empresa", "entreprise", "maiden", "user", "login", "nick", "fax", "file", "product", "item", "brand", "event", "campaign", "country", "pais", "pays", "land", "type", "typ", "flag", "status", "count", "valid", "verified", "opt", "url", "web", "host", "ip", "death", "place", "lieu", "lugar", "created", "updated", "modified", "seen", "visit", "order", "contacted", "purchase", "payment", "bank", "card"]),
    (Sense::Somebody, &["school", "doctor", "physician", "father", "mother", "parent", "spouse", "husband", "wife", "partner", "guardian", "emergency", "kin", "store", "shop", "branch", "manager", "mgr", "rep", "reps", "representative", "agent", "advisor", "adviser", "assigned", "assignee", "referred", "referrer", "referral", "salesperson", "salesman", "seller", "broker", "attorney", "supervisor", "witness", "nok", "notfall", "notfallkontakt", "betreuer", "berater", "vertreter", "verkaufer", "sachbearbeiter", "vendedor", "asesor", "gestor", "vendeur", "conseiller", "conjoint", "pere", "mere", "padre", "madre", "marido", "esposa", "conyuge"]),
];

fn sense(word: &str) -> Option<Sense> {
    let found = SENSES.iter().find(|(_, words)| words.contains(&word));
    found.map(|(sense, _)| *sense)
}

/// The words of a name: at blanks and signs, where letters and digits meet, and where a capital follows a small letter.
fn words(name: &str) -> Vec<String> {
    #[derive(PartialEq)]
    enum Kind {
        Small,
        Capital,
        Digit,
        Sign,
    }
    let plain = any_ascii::any_ascii(name);
    let mut out: Vec<String> = Vec::new();
    let mut before = Kind::Sign;
    for c in plain.chars() {
        let kind = match c {
            'a'..='z' => Kind::Small,
            'A'..='Z' => Kind::Capital,
            '0'..='9' => Kind::Digit,
            _ => Kind::Sign,
        };
        let goes_on = kind == before || (before, &kind) == (Kind::Capital, &Kind::Small);
        match (kind == Kind::Sign, goes_on, out.last_mut()) {
            (true, ..) => {}
            (false, true, Some(word)) => word.push(c.to_ascii_lowercase()),
            (false, ..) => out.push(c.to_ascii_lowercase().to_string()),
        }
        before = kind;
    }
    out
}

/// What a name in Latin letters says by its words.
pub(crate) fn meaning(name: &str) -> Option<Meaning> {
    if name.chars().any(musubi_clean::name::is_japanese) {
        return None;
    }
    let words = words(name);
    let senses: Vec<Option<Sense>> = words.iter().map(|word| sense(word)).collect();
    let has = |sense: Sense| senses.contains(&Some(sense));
    let is = |word: &str| words.iter().any(|w| w == word);
    if has(Sense::Other) && !has(Sense::Phone) && !has(Sense::Email)
        || has(Sense::Somebody)
        || is("fax")
    {
        return None;
    }
    // First and last are said of anything.
    if (is("first") || is("last")) && !has(Sense::Name) && senses.contains(&None) {
        return None;
    }
    let birth = has(Sense::Birth);
    let found = match () {
        () if has(Sense::Email) => Meaning::Email,
        () if has(Sense::Phone) => Meaning::Phone,
        () if has(Sense::Age) => {
            let whose = |s: &Option<Sense>| {
                matches!(
                    s,
                    Some(Sense::Age | Sense::Birth | Sense::Person | Sense::Year)
                )
            };
            return senses.iter().all(whose).then_some(Meaning::Age);
        }
        () if birth && has(Sense::Year) => Meaning::BirthYear,
        () if birth && has(Sense::Month) => Meaning::BirthMonth,
        () if birth && has(Sense::Day) => Meaning::BirthDay,
        () if birth && (has(Sense::City) || has(Sense::State)) => return None,
        () if birth => Meaning::BirthDate,
        () if has(Sense::Postal) => Meaning::PostalCode,
        () if has(Sense::Suffix) => {
            return has(Sense::Name).then_some(Meaning::NameSuffix);
        }
        () if has(Sense::Full) && (has(Sense::Name) || has(Sense::Given) || has(Sense::Family)) => {
            Meaning::Name
        }
        () if has(Sense::Given) && has(Sense::Family) => Meaning::Name,
        () if has(Sense::Middle) => Meaning::MiddleName,
        () if has(Sense::Given) => Meaning::GivenName,
        () if has(Sense::Family) => Meaning::FamilyName,
        () if has(Sense::House) || has(Sense::Street) && has(Sense::Number) => Meaning::Block,
        () if has(Sense::Unit) => Meaning::Building,
        () if (has(Sense::Address) || has(Sense::Street)) && has(Sense::Second) => {
            Meaning::Building
        }
        () if has(Sense::City) => Meaning::City,
        () if has(Sense::Address) => Meaning::Address,
        () if has(Sense::Street) => Meaning::Town,
        () if has(Sense::State) => Meaning::Prefecture,
        () if has(Sense::Gender) => Meaning::Gender,
        // What else is named is no person, unless it says so.
        () if has(Sense::Name) => {
            let whose =
                |s: &Option<Sense>| matches!(s, Some(Sense::Name | Sense::Person | Sense::Full));
            return senses.iter().all(whose).then_some(Meaning::Name);
        }
        () => return None,
    };
    Some(found)
}

/// Words of Japanese names of columns about somebody or something else than the person.
const JAPANESE_OTHERS: [&str; 16] = [
    "担当",
    "紹介",
    "緊急",
    "保護者",
    "親権者",
    "配偶者",
    "代理人",
    "続柄",
    "会社",
    "法人",
    "勤務先",
    "店舗",
    "商品",
    "品名",
    "メモ",
    "備考",
];

/// Whether a name says that the column is about somebody or something else than the person.
pub(crate) fn is_of_another(name: &str) -> bool {
    if JAPANESE_OTHERS.iter().any(|word| name.contains(word)) {
        return true;
    }
    // Who uses a thing is the person.
    let users = ["user", "login", "nick"];
    words(name).iter().any(|word| {
        matches!(sense(word), Some(Sense::Other | Sense::Somebody))
            && !users.contains(&word.as_str())
    })
}

/// Whether a name says that the column is about somebody else than the person, or how to reach them.
pub(crate) fn is_of_somebody_else(name: &str) -> bool {
    // The first words of the list are people.
    JAPANESE_OTHERS[..8].iter().any(|word| name.contains(word))
        || words(name)
            .iter()
            .any(|word| sense(word) == Some(Sense::Somebody) || word == "fax")
}

/// Whether a name says that the column names companies: records may be of them.
pub(crate) fn is_company(name: &str) -> bool {
    const COMPANIES: [&str; 8] = [
        "company",
        "organization",
        "organisation",
        "org",
        "firm",
        "firma",
        "empresa",
        "entreprise",
    ];
    words(name)
        .iter()
        .any(|word| COMPANIES.contains(&word.as_str()))
}

/// Whether a name says that the column holds parts of towns: they stand in for the town where it has no column.
pub(crate) fn is_quarter(name: &str) -> bool {
    const QUARTERS: [&str; 4] = ["bairro", "barrio", "colonia", "quartier"];
    words(name)
        .iter()
        .any(|word| QUARTERS.contains(&word.as_str()))
}

/// Words that stand alone for the person: the column holds a name or something to reach them by.
const PEOPLE: [&str; 14] = [
    "お客様",
    "顧客",
    "会員",
    "患者",
    "契約者",
    "利用者",
    "申込者",
    "名義",
    "名義人",
    "社員",
    "従業員",
    "受取人",
    "contato",
    "contacto",
];

/// Whether a name is nothing but a word for the person: `Customer`, `Kunde`, `お客様`.
pub(crate) fn is_person(name: &str) -> bool {
    if PEOPLE.contains(&name.trim().to_lowercase().as_str()) {
        return true;
    }
    let not_alone = [
        "display", "legal", "usual", "current", "per", "pat", "party",
    ];
    match &words(name)[..] {
        [word] => sense(word) == Some(Sense::Person) && !not_alone.contains(&word.as_str()),
        _ => false,
    }
}

/// Whether a name says that the column holds titles, which tell the gender of most: `Anrede`, `Civilité`.
pub(crate) fn is_title(name: &str) -> bool {
    const TITLES: [&str; 10] = [
        "title",
        "salutation",
        "honorific",
        "anrede",
        "civilite",
        "tratamiento",
        "tratamento",
        "titulo",
        "titolo",
        "aanhef",
    ];
    let words = words(name);
    let known = |word: &String| {
        TITLES.contains(&word.as_str())
            || matches!(sense(word), Some(Sense::Person | Sense::Name))
            || word == "prefix"
    };
    let titled = words.iter().any(|w| TITLES.contains(&w.as_str()));
    (titled || words == ["name", "prefix"]) && words.iter().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_word_by_word() {
        for (name, want) in [
            ("cust_first_nm", Some(Meaning::GivenName)),
            ("LAST_NM", Some(Meaning::FamilyName)),
            ("Contact Name", Some(Meaning::Name)),
            ("PatientName", Some(Meaning::Name)),
            ("res_city_desc", Some(Meaning::City)),
            ("state_cd", Some(Meaning::Prefecture)),
            ("sex_code", Some(Meaning::Gender)),
            ("addr_line", Some(Meaning::Address)),
            ("addrLine2", Some(Meaning::Building)),
            ("MailingAddress", Some(Meaning::Address)),
            ("DOB_DAY", Some(Meaning::BirthDay)),
            ("DOB_MON", Some(Meaning::BirthMonth)),
            ("dob_year", Some(Meaning::BirthYear)),
            ("Straße", Some(Meaning::Town)),
            ("Hausnummer", Some(Meaning::Block)),
            ("Fecha de nacimiento", Some(Meaning::BirthDate)),
            ("código_postal", Some(Meaning::PostalCode)),
            ("apellido1", Some(Meaning::FamilyName)),
            ("Nom complet", Some(Meaning::Name)),
            ("Téléphone portable", Some(Meaning::Phone)),
            ("Work Phone", Some(Meaning::Phone)),
            ("mother_name", None),
            ("company name", None),
            ("middle_name", Some(Meaning::MiddleName)),
            ("MID_NM", Some(Meaning::MiddleName)),
            ("name_sufx_cd", Some(Meaning::NameSuffix)),
            ("NameSuffix", Some(Meaning::NameSuffix)),
            ("street_suffix", None),
            ("birth_age", Some(Meaning::Age)),
            ("patient age", Some(Meaning::Age)),
            ("age_group", None),
            ("plan_name", None),
            ("fax_no", None),
            ("country", None),
            ("last_login", None),
            ("first_channel", None),
            ("date_first_seen", None),
            ("birth place", None),
            ("notes", None),
            ("dte_brth", Some(Meaning::BirthDate)),
            ("FEC_NAC", Some(Meaning::BirthDate)),
            ("geb_datum", Some(Meaning::BirthDate)),
            ("Fødselsdato", Some(Meaning::BirthDate)),
            ("születési dátum", Some(Meaning::BirthDate)),
            ("kod_pocztowy", Some(Meaning::PostalCode)),
            ("POSTLZ", Some(Meaning::PostalCode)),
            ("RUFNR", Some(Meaning::Phone)),
            ("msisdn", Some(Meaning::Phone)),
            ("Localité", Some(Meaning::City)),
            ("HausNr", Some(Meaning::Block)),
            ("GESCHL", Some(Meaning::Gender)),
            ("Account Manager Phone", None),
            ("emergency_email", None),
            ("Store Phone", None),
        ] {
            assert_eq!(meaning(name), want, "{name}");
        }
    }

    #[test]
    fn others_than_the_person_are_told() {
        for name in [
            "Account Manager",
            "Referred By",
            "Next of Kin",
            "Emergency Phone",
            "担当者名",
            "Fax",
        ] {
            assert!(
                is_of_somebody_else(name) && (name == "Fax" || is_of_another(name)),
                "{name}"
            );
        }
        for name in [
            "Company",
            "Work Phone",
            "Business Phone",
            "Customer",
            "会社名",
            "field3",
        ] {
            assert!(!is_of_somebody_else(name), "{name}");
        }
        assert!(is_of_another("Company") && is_of_another("会社名") && !is_of_another("Customer"));
    }

    #[test]
    fn words_for_the_person_and_titles_stand_alone() {
        for (name, person, title) in [
            ("Customer", true, false),
            ("Kunde", true, false),
            ("お客様", true, false),
            ("customer type", false, false),
            ("Title", false, true),
            ("Anrede", false, true),
            ("Civilité", false, true),
            ("name_prefix", false, true),
            ("Job Title", false, false),
            ("book_title", false, false),
        ] {
            assert_eq!((is_person(name), is_title(name)), (person, title), "{name}");
        }
    }
}
