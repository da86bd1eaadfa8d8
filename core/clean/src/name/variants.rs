//! Forms of kanji that one name is written in. Each line: the everyday form, then the forms folded to it.
//! Old forms follow the tables of 常用漢字 and 人名用漢字; regional forms are those met in registers of names.

use std::sync::OnceLock;

use hashbrown::HashMap;

const GROUPS: &str = "
辺邊邉 斉齋齊斎 高髙 崎﨑嵜碕埼 沢澤 浜濱濵 島嶋嶌嶹 広廣 国國圀囯 桜櫻 竜龍 富冨 真眞 恵惠 栄榮 条條 徳德悳 吉𠮷 土圡 瀬瀨 隆隆 渡渉 角⻆ 柳栁桺 橋𣘺槗 
亜亞 悪惡 圧壓 囲圍 医醫 壱壹 逸逸 稲稻 飲飮 隠隱 営營 衛衞 駅驛 円圓 園薗 縁緣 塩鹽 奥奧 応應 横橫 欧歐 殴毆 穏穩 温溫 仮假 価價 禍禍 画畫劃 会會 壊壞 懐懷 絵繪 拡擴 殻殼 覚覺 学學斈 岳嶽 楽樂 勧勸 巻卷 寛寬 歓歡 漢漢 缶罐 観觀 関關 陥陷 巌巖岩嵒 顔顏 
帰歸 気氣 亀龜 偽僞 戯戲 犠犧 旧舊 拠據 挙擧 虚虛 峡峽 挟挾 狭狹 郷鄕鄊 強强 教敎 暁曉 勤勤 区區 駆驅 勲勳勛 薫薰 群羣 径徑 恵惠 掲揭 携攜 敬敬 渓溪 経經 継繼 茎莖 蛍螢 軽輕 鶏鷄雞 芸藝 撃擊 欠缺 倹儉 剣劍劒剱釼 圏圈 検檢 権權 献獻 研硏 県縣 険險 顕顯 験驗 厳嚴 
戸戶 呉吳 娯娛 効效 恒恆 鉱鑛礦 黄黃 号號 済濟 砕碎 剤劑 雑雜 冊册 参參 惨慘 桟棧 蚕蠶 賛贊 残殘 産產 糸絲 歯齒 児兒 辞辭 湿濕 実實 舎舍 写寫 者者 釈釋 寿壽夀 収收 従從 渋澁 獣獸 縦縱 祝祝 粛肅 処處 緒緖 署署 諸諸 叙敍敘 奨奬 将將 焼燒 祥祥 称稱 証證 
乗乘 剰剩 壌壤 嬢孃 浄淨 畳疊 縄繩 譲讓 醸釀 触觸 嘱囑 寝寢 慎愼 晋晉 神神 尽盡 図圖 粋粹 酔醉 随隨 髄髓 数數 枢樞 声聲 静靜 青靑 清淸 晴晴 精精 摂攝 窃竊 専專 浅淺 戦戰 潜潛 繊纖 践踐 銭錢 禅禪 曽曾 双雙 壮壯 捜搜 挿插 巣巢 争爭 総總惣 聡聰 荘莊 装裝 騒騷 増增 蔵藏 臓臟 贈贈 即卽 属屬 続續 
堕墮 体體 対對 帯帶 滞滯 台臺坮 滝瀧 択擇 只祇 単單 担擔 胆膽 団團 弾彈 断斷 遅遲 痴癡 虫蟲 昼晝 鋳鑄 猪猪 著著 庁廳 徴徵 懲懲 聴聽 勅敕 鎮鎭 塚塚 逓遞 鉄鐵鐡鉃銕 転轉 点點 伝傳 都都 党黨 盗盜 灯燈 当當 闘鬪 稲稻 独獨 読讀 届屆 突突 
奈柰 内內 縄繩 弐貳 難難 悩惱 脳腦 覇霸 廃廢 拝拜 梅梅楳 売賣 麦麥 発發 髪髮 抜拔 繁繁 晩晚 蛮蠻 卑卑 秘祕 碑碑 彦彥 姫姬 浜濵 賓賓 敏敏 瓶甁 侮侮 福福 払拂 仏佛 勉勉 変變 弁辨瓣辯 舗舖 歩步 穂穗穗 宝寶寳 峰峯 萌萠 豊豐 褒襃 墨墨 没沒 翻飜 槙槇 毎每 万萬 満滿 免免 黙默 餅餠 弥彌 
与與 予豫 余餘 誉譽 揺搖 様樣 謡謠 遥遙 来來 頼賴 乱亂 欄欄 覧覽 略畧 流流 隆隆 両兩 涼凉 猟獵 緑綠 隣鄰 凜凛 塁壘 涙淚 類類 礼禮 励勵 戻戾 霊靈 齢齡 暦曆 歴歷 恋戀 練練 錬鍊 炉爐 労勞 廊廊 朗朗朖 楼樓 郎郞 禄祿 録錄 湾灣 脇脅 鷲鷲 
館舘 船舩 杉椙 桑桒 畑畠 森杜 坂阪 松枩柗 桧檜 藤籐 槌鎚 鶴靍靏寉鸖 靴鞾 樽罇 昇曻 晃晄 晶晳 清凊 隆嶐 裕祐 喜㐂 熊熋 梨棃 鳥烏 榊𣖔 曜耀燿 幸倖 聖聖 靖靖 益益 節節 祐祐 祖祖 裕裕 飯飯 羽羽 鶯鴬 灘灘 蓮蓮 辻辻 逗逗 葛葛 芦蘆 諌諫 尭堯 遥遙 凪凪 牧牧 亘亙 巌巖 粂粂 穣穰 
蛎蠣 鴎鷗 頬頰 麺麵 篭籠 桶桶 掛挂 砺礪 祢禰 竪豎 籾籾 迩邇 辺邊 尓爾 桝枡 楢楢 樋樋 薮藪 薮籔 栖棲 峨峩 嶺嶺 嶋嶋 埜野 峡峽 渊淵 渕淵 関関 儘侭 侠俠 倶俱 焔焰 桧檜 壷壺 濤涛 燈灯 狛狛 瑶瑤 琢琢 祷禱 禎禎 穀穀 突突 絋紘 絆絆 翠翠 聰聡 臈﨟 茂茂 菅管 萱萓 葦蘆 蕊蘂 蝉蟬 覗覘 諭諭 遥遙 逢逢 鄭鄭 采釆 釜釡 錆鏥 閑閒 隣隣 雁鴈 鞄鞄 頚頸 飴飴 餐飡 騨驒 鯵鰺 鹸鹼 麹麴 
";

/// Pairs that look alike and are different names: never folded, whatever the groups say.
const APART: &[char] = &[
    '烏', '杜', '管', '脅', '阪', '祐', '渉', '畠', '曜', '晳', '嶺', '埼', '倖', '鎚', '只', '祇',
    '碕',
];

/// The everyday form of a kanji, or the character itself.
pub(super) fn plain(c: char) -> char {
    let variants = variants();
    if variants.is_none(c) {
        return c;
    }
    variants.forms.get(&c).copied().unwrap_or(c)
}

/// Everyday forms by variant.
struct Variants {
    forms: HashMap<char, char>,
    /// One bit for each character below U+10000 that is a variant: most are none.
    marks: Box<[u64; 1024]>,
}

impl Variants {
    fn is_none(&self, c: char) -> bool {
        let mark = |group: &u64| group >> (c as u32 % 64) & 1 == 0;
        self.marks.get(c as usize / 64).is_some_and(mark)
    }
}

fn variants() -> &'static Variants {
    static VARIANTS: OnceLock<Variants> = OnceLock::new();
    VARIANTS.get_or_init(|| {
        let mut forms = HashMap::new();
        for group in GROUPS.split_whitespace() {
            let mut chars = group.chars();
            let Some(everyday) = chars.next() else {
                continue;
            };
            for variant in chars.filter(|c| *c != everyday && !APART.contains(c)) {
                forms.entry(variant).or_insert(everyday);
            }
        }
        settle(&mut forms);
        let mut marks = Box::new([0; 1024]);
        for &variant in forms.keys() {
            if let Some(group) = marks.get_mut(variant as usize / 64) {
                *group |= 1 << (variant as u32 % 64);
            }
        }
        Variants { forms, marks }
    })
}

/// A variant of a variant leads to the last form, so that folding twice changes nothing.
fn settle(table: &mut HashMap<char, char>) {
    let variants: Vec<char> = {
        let mut keys: Vec<char> = table.keys().copied().collect();
        keys.sort_unstable();
        keys
    };
    for variant in variants {
        let mut last = table[&variant];
        let mut steps = 0;
        while let Some(next) = table.get(&last).copied() {
            if next == variant || steps > 4 {
                table.remove(&variant);
                break;
            }
            last = next;
            steps += 1;
        }
        if let Some(entry) = table.get_mut(&variant) {
            *entry = last;
        }
    }
}
