//! Short and pet forms of given names: the same person is Bill in one record and William in another. Names of several
//! languages, in plain letters as names are folded; pet forms that start as the name does are known by their letters, and
//! stand here where they weigh as much as the others.

use std::sync::LazyLock;

use hashbrown::HashMap;

/// A name with its other forms a line. A form may stand in two lines at most (Pat is Patrick and Patricia, who are two).
const FORMS: &str = "\
abigail abby abbie gail
abraham abe abram bram
albert al bert bertie
alberto beto berto
alejandro jandro
aleksei alexei alexey alyosha lyosha
alexander alex alec al sandy xander sasha sacha aleksandr alexandr sanya shura
alexandra alex lexi sandra sandy sasha alejandra aleksandra
alfred alf alfie fred
alice allie ally elsie
amanda mandy
anastasia nastya stasia
andrew andy drew
angela angie
ann anne anna annie nan nancy
anthony tony antony
antonio tono tonio toni
arthur art artie
barbara barb barbie babs bobbie
bartholomew bart
beatrice bea trixie
benjamin ben benny benji
bernard bernie
caroline carolyn carrie lina
cassandra cass cassie sandra
catherine katherine kathryn katharine cathy kathy kate katie kay kitty kat cate
cecilia cissy celia
charles charlie chuck chas chaz
charlotte lottie charlie
christine christina christie chrissy tina chris kristin
christopher chris kit topher kris
concepcion concha conchita
constance connie
consuelo chelo
cornelius neil
cynthia cindy
daniel dan danny
danielle dani
david dave davy davey
deborah debra debbie deb
dennis denny
dmitri dmitry dima mitya
dolores lola lolita
domenico mimmo
dominic dom nick
donald don donnie
dorothy dot dottie dolly dora
douglas doug
edith edie
edmund ned
eduardo edu lalo
edward ed eddie ted teddy ned
edwin ed eddie win
ekaterina katya katia
eleanor ellie nell nellie nora lenore
elena lena alyona
elizabeth liz lizzie beth betty bess bessie betsy eliza elsie libby lisa liza lisbeth
emily em emmy
emmanuel manny manuel manolo lolo
enrique quique kike
esther essie hester
eugene gene
evelyn evie eve
evgeny yevgeny zhenya
ezekiel zeke
florence flo flossie
frances fran franny fanny francie
francesco franco ciccio checco
francis frank frankie fran
francisca paca paquita
francisco paco pancho curro kiko frasco
franklin frank
frederick fred freddie freddy fritz friedrich
gabriel gabe
gabrielle gabby
genevieve gen eve
geoffrey jeffrey geoff jeff
georg schorsch jorg jurgen
gerald gerry jerry
gerard gerry jerry
gertrude gertie trudy
gilbert gil
giovanni gianni nino
giuseppe beppe peppe pino
graciela chela
gregory greg
guadalupe lupe lupita
gwendolyn gwen wendy
harold harry hal
harriet hattie
heinrich heinz heiner
helen nell nellie lena
henrietta etta hettie
henry hank harry hal
herbert herb bert
hubert hugh
ignacio nacho
irene rene
isaac ike zac
isabella isabel bella izzy belle isa chavela
ivan vanya
jacob jake
jacqueline jackie
james jim jimmy jamie jem
jane janie janey jenny jean
janet jan jannie
jasper casper
jennifer jen jenny jenna
jessica jess jessie
jesus chuy chucho
joan joanie
joanna joanne jo
johann johannes hans jan hannes
john jack johnny jock jon
jonathan jon jonny nathan
jose pepe chepe
josef sepp beppo
josefa pepa pepita
joseph joe joey jos
josephine jo josie
joshua josh
judith judy
julia julie jules
julian jules
katrina kat trina
kenneth ken kenny
kimberly kim
laurence lawrence larry lars laurie
leonard len lenny leo
leslie les
lester les
lewis louis lou lew louie
lillian lily lil
linda lindy
louise lou lulu
lucille lucy
ludwig lutz
luigi gigi
luis lucho
lydia liddy
mabel may
madeline maddie maddy
magdalena magda
marcus marc mark
margaret maggie meg peggy peg marge margie madge daisy greta rita megan
maria mary marie molly polly mamie mae may masha
marilyn lynn
marjorie margery marge margie
martha marty patty
martin marty
matilda tilly mattie
matthew matt
maurice morris
maximilian max
melissa missy lissa mel
melvin mel
mercedes merche meche
michael mike mick mickey micky misha mikhail
michelle shelly
miguel migue
mildred millie
millicent millie
miriam mimi
mitchell mitch
natalia natasha nata
natalie nat nattie
nathaniel nathan nate nat
nicholas nick nicky nico claus klaus
nicole nicky nikki
nikolai nikolay kolya
olga olya
oliver ollie
olivia liv livvy
oswald ozzie
pamela pam
patricia pat patty patsy tricia trish
patrick pat paddy
pavel pasha
penelope penny
peter pete
philip phil pip
philippa pippa
pilar pili
priscilla cilla
rachel rae
rafael rafa
ralph rafe
randolph randy
raymond ray
rebecca becky becca
reginald reg reggie rex
richard rick ricky dick rich richie
robert rob bob bobby robbie robin rupert
roberta bobbie robbie
roberto beto
roderick rod rick
rodney rod
roger rodge hodge
ronald ron ronnie
rosario charo chayo
rosemary rose rosie
rudolph rudy rolf
russell russ rusty
salvatore toto turi
samantha sam sammy
samuel sam sammy
santiago santi yago
sarah sally sadie
sebastian seb bastian
sergei sergey seryozha
sophia sophie
stanley stan
stephanie steph
stephen steven steve stevie
stuart stewart stu
susan sue susie suzanne sukie
susanna susie sanna
svetlana sveta
tatiana tanya tania
terence terry
theodore ted teddy theo
theresa teresa terry tess tessa tracy tere maite
thomas tom tommy
timothy tim timmy
valerie val
veronica ronnie roni
vicente chente
victor vic
victoria vicky tori
vincent vin vinny vince
virginia ginny ginger
vladimir volodya vova
walter walt wally wat
wilfred wilf
wilhelmina mina minnie billie
william bill billy will willy willie liam wilhelm
winifred winnie freda
yuri yura
zachary zach zack zac
";

/// Lines that each name stands in, numbered from 1; 0 for none.
static LINES: LazyLock<HashMap<&'static str, [u8; 2]>> = LazyLock::new(|| {
    let mut lines: HashMap<&str, [u8; 2]> = HashMap::new();
    for (line, number) in FORMS.lines().zip(1..=u8::MAX) {
        for name in line.split(' ') {
            let of_name = lines.entry(name).or_default();
            if let Some(free) = of_name.iter_mut().find(|n| **n == 0 || **n == number) {
                *free = number;
            }
        }
    }
    lines
});

/// The lines that a folded name stands in.
pub(crate) fn lines(name: &str) -> [u8; 2] {
    LINES.get(name).copied().unwrap_or_default()
}

/// Whether names of these lines are forms of one.
pub(crate) fn meet(a: [u8; 2], b: [u8; 2]) -> bool {
    a[0] != 0 && (b.contains(&a[0]) || a[1] != 0 && b.contains(&a[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_name_meet_and_of_others_do_not() {
        for (a, b, want) in [
            ("william", "bill", true),
            ("bill", "will", true),
            ("peggy", "margaret", true),
            ("john", "jack", true),
            ("pat", "patricia", true),
            ("pat", "patrick", true),
            ("patrick", "patricia", false),
            ("sasha", "alexander", true),
            ("pepe", "jose", true),
            ("christopher", "christina", false),
            ("john", "william", false),
            ("nobody", "nobody", false),
            ("", "bill", false),
        ] {
            assert_eq!(meet(lines(a), lines(b)), want, "{a} {b}");
        }
    }

    #[test]
    fn every_form_has_room_and_is_written_as_names_are_folded() {
        assert!(FORMS.lines().count() < usize::from(u8::MAX));
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for line in FORMS.lines() {
            for name in line.split(' ') {
                assert_eq!(crate::fold::name(name), name);
                *seen.entry(name).or_default() += 1;
            }
        }
        let crowded: Vec<_> = seen.iter().filter(|(_, n)| **n > 2).collect();
        assert!(crowded.is_empty(), "{crowded:?}");
    }
}
