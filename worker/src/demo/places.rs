//! Sixty stores in twelve cities, and the streets around them.

/// A city in which the retailer sells, and people live.
#[derive(Debug)]
pub struct City {
    /// Region.
    pub region: &'static str,
    /// Prefecture.
    pub prefecture: &'static str,
    /// City or ward.
    pub city: &'static str,
    /// First three digits of its postal codes.
    pub postal: u32,
    /// Area code of its fixed telephones.
    pub area: &'static str,
    /// Towns.
    pub towns: [&'static str; 5],
    /// Names of stores: each stands for the cluster at the same place of [`CLUSTERS`].
    pub shops: [&'static str; 5],
}

/// Store clusters, in the order of [`City::shops`].
pub const CLUSTERS: [Cluster; 5] = [
    Cluster::Office,
    Cluster::Station,
    Cluster::Suburb,
    Cluster::Hospital,
    Cluster::Tourist,
];

/// What surrounds a store, and so who comes and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// Offices: weekday lunch, dead on Sundays.
    Office,
    /// A station: every day, evenings too.
    Station,
    /// Houses: evenings and week-ends.
    Suburb,
    /// A hospital: weekdays, healthy dishes.
    Hospital,
    /// Sights: week-ends and holidays.
    Tourist,
}

impl Cluster {
    /// The word in the ERP.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Office => "office",
            Self::Station => "station",
            Self::Suburb => "suburb",
            Self::Hospital => "hospital",
            Self::Tourist => "tourist",
        }
    }

    /// Factor on a day's custom: weekday 1 (Monday) to 7 (Sunday), and whether it is a holiday.
    #[must_use]
    pub const fn demand(self, weekday: i8, holiday: bool) -> f64 {
        let week_end = weekday >= 6;
        match (self, holiday, week_end) {
            (Self::Office, true, _) => 0.15,
            (Self::Office, _, true) => 0.25,
            (Self::Office, ..) => 1.35,
            (Self::Station, true, _) => 1.25,
            (Self::Station, ..) => 1.0,
            (Self::Suburb, true, _) => 1.5,
            (Self::Suburb, _, true) => 1.35,
            (Self::Suburb, ..) => 0.8,
            (Self::Hospital, true, _) => 0.4,
            (Self::Hospital, _, true) => 0.6,
            (Self::Hospital, ..) => 1.15,
            (Self::Tourist, true, _) => 2.4,
            (Self::Tourist, _, true) => 1.7,
            (Self::Tourist, ..) => 0.7,
        }
    }
}

/// Number of stores.
pub const STORES: usize = CITIES.len() * 5;

/// City of a store (from 0).
#[must_use]
pub fn city_of(store: usize) -> &'static City {
    &CITIES[store / 5 % CITIES.len()]
}

/// Cluster of a store (from 0).
#[must_use]
pub fn cluster_of(store: usize) -> Cluster {
    CLUSTERS[store % 5]
}

/// Code of a store (from 0): `S001`.
#[must_use]
pub fn code(store: usize) -> String {
    format!("S{:03}", store + 1)
}

macro_rules! cities {
    ($($region:literal $prefecture:literal $city:literal $postal:literal $area:literal $towns:expr, $shops:expr;)*) => {
        /// The cities, the first ones with the most people.
        pub const CITIES: &[City] = &[$(City {
            region: $region, prefecture: $prefecture, city: $city, postal: $postal, area: $area,
            towns: $towns, shops: $shops,
        }),*];
    };
}

cities! {
    "関東" "東京都" "千代田区" 101 "03" ["神田錦町", "九段南", "岩本町", "外神田", "飯田橋"], ["大手町", "神田駅前", "番町", "駿河台病院", "秋葉原"];
    "関東" "東京都" "新宿区" 160 "03" ["西新宿", "四谷", "北新宿", "高田馬場", "百人町"], ["西新宿", "新宿駅南口", "落合", "信濃町病院", "歌舞伎町"];
    "関東" "東京都" "世田谷区" 154 "03" ["三軒茶屋", "太子堂", "桜新町", "用賀", "経堂"], ["用賀オフィス", "三軒茶屋駅", "桜新町", "大蔵病院", "二子玉川"];
    "関東" "神奈川県" "横浜市西区" 220 "045" ["高島", "北幸", "浅間町", "戸部本町", "南幸"], ["みなとみらい", "横浜駅西口", "浅間町", "戸部病院", "桜木町"];
    "関東" "埼玉県" "さいたま市大宮区" 330 "048" ["桜木町", "大門町", "堀の内町", "天沼町", "三橋"], ["桜木町", "大宮駅東口", "三橋", "天沼病院", "氷川参道"];
    "近畿" "大阪府" "大阪市北区" 530 "06" ["梅田", "天満", "中之島", "曽根崎", "堂島"], ["中之島", "梅田駅", "天満", "扇町病院", "天神橋筋"];
    "近畿" "京都府" "京都市下京区" 600 "075" ["西七条", "中堂寺", "梅小路", "朱雀", "島原"], ["四条烏丸", "京都駅前", "西七条", "中堂寺病院", "梅小路"];
    "近畿" "兵庫県" "神戸市中央区" 650 "078" ["三宮町", "元町通", "北長狭通", "加納町", "下山手通"], ["旧居留地", "三宮駅", "山手", "港島病院", "元町"];
    "中部" "愛知県" "名古屋市中村区" 453 "052" ["名駅", "太閤", "中村町", "竹橋町", "則武"], ["名駅オフィス", "名古屋駅", "中村公園", "道下病院", "太閤通"];
    "東北" "宮城県" "仙台市青葉区" 980 "022" ["一番町", "中央", "国分町", "本町", "上杉"], ["一番町", "仙台駅前", "八幡", "星陵病院", "国分町"];
    "九州" "福岡県" "福岡市博多区" 812 "092" ["博多駅前", "住吉", "美野島", "千代", "東比恵"], ["祇園", "博多駅", "美野島", "千代病院", "中洲"];
    "北海道" "北海道" "札幌市中央区" 60 "011" ["北一条西", "大通西", "南三条西", "円山西町", "宮の森"], ["大通オフィス", "札幌駅前", "円山", "北病院前", "すすきの"];
}
