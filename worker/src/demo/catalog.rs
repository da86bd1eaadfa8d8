//! What is sold, and the campaigns that sell it.

/// Something that is sold.
#[derive(Debug)]
pub struct Product {
    /// Code.
    pub code: &'static str,
    /// Name as the ERP writes it.
    pub name: &'static str,
    /// Name as the tills print it: half-width kana.
    pub till: &'static str,
    /// Price with tax, in yen.
    pub price: i64,
    /// Category.
    pub category: usize,
}

impl Product {
    /// Tax rate in percent: 8 for food to take away, 10 for alcohol and goods.
    #[must_use]
    pub const fn tax(&self) -> i64 {
        if self.category >= 8 { 10 } else { 8 }
    }
}

/// Categories; from the eighth on the full tax rate holds.
pub const CATEGORIES: [&str; 10] = [
    "幕の内",
    "揚げ物",
    "魚",
    "丼",
    "ヘルシー",
    "おにぎり",
    "惣菜",
    "飲料",
    "酒",
    "雑貨",
];

macro_rules! products {
    ($($code:literal $category:literal $price:literal $name:literal $till:literal)*) => {
        /// The products.
        pub const PRODUCTS: &[Product] = &[$(Product {
            code: $code, name: $name, till: $till, price: $price, category: $category,
        }),*];
    };
}

products! {
    "B001" 0 680 "幕の内弁当" "ﾏｸﾉｳﾁﾍﾞﾝﾄｳ"
    "B002" 0 880 "特選幕の内弁当" "ﾄｸｾﾝﾏｸﾉｳﾁ"
    "B003" 0 780 "松花堂弁当" "ｼｮｳｶﾄﾞｳ"
    "B004" 0 1280 "季節の彩り弁当" "ｷｾﾂﾉｲﾛﾄﾞﾘ"
    "B005" 0 1580 "行楽弁当" "ｺｳﾗｸﾍﾞﾝﾄｳ"
    "B006" 0 540 "日替わり弁当" "ﾋｶﾞﾜﾘ"
    "B007" 0 620 "のり弁当" "ﾉﾘﾍﾞﾝﾄｳ"
    "B008" 0 2480 "会席弁当" "ｶｲｾｷﾍﾞﾝﾄｳ"
    "B101" 1 640 "唐揚げ弁当" "ｶﾗｱｹﾞﾍﾞﾝﾄｳ"
    "B102" 1 760 "とんかつ弁当" "ﾄﾝｶﾂﾍﾞﾝﾄｳ"
    "B103" 1 720 "チキン南蛮弁当" "ﾁｷﾝﾅﾝﾊﾞﾝ"
    "B104" 1 690 "ミックスフライ弁当" "ﾐｯｸｽﾌﾗｲ"
    "B105" 1 820 "海老フライ弁当" "ｴﾋﾞﾌﾗｲﾍﾞﾝﾄｳ"
    "B106" 1 660 "コロッケ弁当" "ｺﾛｯｹﾍﾞﾝﾄｳ"
    "B201" 2 780 "焼鮭弁当" "ﾔｷｻﾞｹﾍﾞﾝﾄｳ"
    "B202" 2 840 "さば味噌弁当" "ｻﾊﾞﾐｿﾍﾞﾝﾄｳ"
    "B203" 2 980 "銀だら西京焼弁当" "ｷﾞﾝﾀﾞﾗｻｲｷｮｳ"
    "B204" 2 1180 "うなぎ弁当" "ｳﾅｷﾞﾍﾞﾝﾄｳ"
    "B205" 2 740 "ぶり照焼弁当" "ﾌﾞﾘﾃﾘﾔｷ"
    "B206" 2 860 "海鮮ちらし" "ｶｲｾﾝﾁﾗｼ"
    "B301" 3 580 "牛丼" "ｷﾞｭｳﾄﾞﾝ"
    "B302" 3 620 "親子丼" "ｵﾔｺﾄﾞﾝ"
    "B303" 3 690 "かつ丼" "ｶﾂﾄﾞﾝ"
    "B304" 3 740 "天丼" "ﾃﾝﾄﾞﾝ"
    "B305" 3 650 "三色そぼろ丼" "ｻﾝｼｮｸｿﾎﾞﾛ"
    "B306" 3 720 "焼肉丼" "ﾔｷﾆｸﾄﾞﾝ"
    "B401" 4 780 "十六穀米の野菜弁当" "ｼﾞｭｳﾛｸｺｸﾔｻｲ"
    "B402" 4 820 "減塩弁当" "ｹﾞﾝｴﾝﾍﾞﾝﾄｳ"
    "B403" 4 760 "豆腐ハンバーグ弁当" "ﾄｳﾌﾊﾝﾊﾞｰｸﾞ"
    "B404" 4 690 "蒸し鶏サラダ弁当" "ﾑｼﾄﾞﾘｻﾗﾀﾞ"
    "B405" 4 840 "糖質オフ弁当" "ﾄｳｼﾂｵﾌ"
    "B406" 4 880 "ヴィーガン弁当" "ｳﾞｨｰｶﾞﾝ"
    "O001" 5 130 "おにぎり 鮭" "ｵﾆｷﾞﾘ ｻｹ"
    "O002" 5 120 "おにぎり 梅" "ｵﾆｷﾞﾘ ｳﾒ"
    "O003" 5 140 "おにぎり 明太子" "ｵﾆｷﾞﾘ ﾒﾝﾀｲｺ"
    "O004" 5 120 "おにぎり 昆布" "ｵﾆｷﾞﾘ ｺﾝﾌﾞ"
    "O005" 5 150 "おにぎり ツナマヨ" "ｵﾆｷﾞﾘ ﾂﾅﾏﾖ"
    "O006" 5 280 "いなり寿司 3個" "ｲﾅﾘｽﾞｼ 3ｺ"
    "D001" 6 240 "ポテトサラダ" "ﾎﾟﾃﾄｻﾗﾀﾞ"
    "D002" 6 260 "きんぴらごぼう" "ｷﾝﾋﾟﾗｺﾞﾎﾞｳ"
    "D003" 6 280 "ひじき煮" "ﾋｼﾞｷﾆ"
    "D004" 6 220 "だし巻き玉子" "ﾀﾞｼﾏｷﾀﾏｺﾞ"
    "D005" 6 380 "唐揚げ 5個" "ｶﾗｱｹﾞ 5ｺ"
    "D006" 6 320 "グリーンサラダ" "ｸﾞﾘｰﾝｻﾗﾀﾞ"
    "D007" 6 160 "味噌汁" "ﾐｿｼﾙ"
    "D008" 6 190 "豚汁" "ﾄﾝｼﾞﾙ"
    "T001" 7 130 "緑茶" "ﾘｮｸﾁｬ"
    "T002" 7 130 "ほうじ茶" "ﾎｳｼﾞﾁｬ"
    "T003" 7 130 "烏龍茶" "ｳｰﾛﾝﾁｬ"
    "T004" 7 110 "天然水" "ﾃﾝﾈﾝｽｲ"
    "T005" 7 160 "野菜ジュース" "ﾔｻｲｼﾞｭｰｽ"
    "T006" 7 150 "アイスコーヒー" "ｱｲｽｺｰﾋｰ"
    "L001" 8 260 "缶ビール" "ｶﾝﾋﾞｰﾙ"
    "L002" 8 220 "缶チューハイ" "ｶﾝﾁｭｰﾊｲ"
    "L003" 8 480 "日本酒 小瓶" "ﾆﾎﾝｼｭ"
    "L004" 8 560 "ワイン 小瓶" "ﾜｲﾝ"
    "Z001" 9 150 "保冷バッグ" "ﾎﾚｲﾊﾞｯｸﾞ"
    "Z002" 9 110 "塗り箸" "ﾇﾘﾊﾞｼ"
    "Z003" 9 330 "風呂敷" "ﾌﾛｼｷ"
    "Z004" 9 1100 "弁当箱" "ﾍﾞﾝﾄｳﾊﾞｺ"
}

/// A campaign and what it does to those who redeem its coupon.
#[derive(Debug)]
pub struct Campaign {
    /// Code.
    pub code: &'static str,
    /// First two letters of its coupons.
    pub prefix: &'static str,
    /// Name.
    pub name: &'static str,
    /// Channel on which coupons are issued.
    pub channel: &'static str,
    /// Budget in yen.
    pub budget: i64,
    /// Discount in yen.
    pub discount: i64,
    /// Share of people whom it reaches.
    pub reach: f64,
    /// Share of coupons that are redeemed.
    pub redeemed: f64,
    /// Share of redemptions that happen in a store.
    pub in_store: f64,
    /// Factor on how often those come back who redeemed it.
    pub lift: f64,
}

/// The campaigns. What drives repeat purchases across channels is the app's lunch pass; the discount
/// sent by e-mail is redeemed often and changes nothing.
pub const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        code: "CMP-LUNCHPASS",
        prefix: "LP",
        name: "アプリ・ランチパス",
        channel: "app",
        budget: 1_500_000,
        discount: 100,
        reach: 0.16,
        redeemed: 0.45,
        in_store: 0.7,
        lift: 2.4,
    },
    Campaign {
        code: "CMP-AUTUMN",
        prefix: "AU",
        name: "秋のメールクーポン",
        channel: "email",
        budget: 2_000_000,
        discount: 150,
        reach: 0.25,
        redeemed: 0.3,
        in_store: 0.5,
        lift: 1.0,
    },
    Campaign {
        code: "CMP-HEALTHY",
        prefix: "HE",
        name: "ヘルシー週間",
        channel: "email",
        budget: 800_000,
        discount: 80,
        reach: 0.12,
        redeemed: 0.25,
        in_store: 0.8,
        lift: 1.4,
    },
    Campaign {
        code: "CMP-FREESHIP",
        prefix: "FS",
        name: "送料無料",
        channel: "email",
        budget: 1_200_000,
        discount: 300,
        reach: 0.1,
        redeemed: 0.2,
        in_store: 0.0,
        lift: 1.15,
    },
    Campaign {
        code: "CMP-WINBACK",
        prefix: "WB",
        name: "お久しぶりクーポン",
        channel: "email",
        budget: 600_000,
        discount: 200,
        reach: 0.08,
        redeemed: 0.06,
        in_store: 0.5,
        lift: 0.9,
    },
];
