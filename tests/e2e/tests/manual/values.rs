//! What stands in a cluster for what the document leaves open.

use crate::support;

/// The document's time zone, unless what it schedules is due there while it is followed: then one where it is not.
fn zone() -> &'static str {
    let there = jiff::Zoned::now().in_tz("Asia/Tokyo").expect("a time zone");
    match there.hour() {
        3 | 4 => "Pacific/Honolulu",
        _ => "Asia/Tokyo",
    }
}

/// A place where the document is followed.
#[derive(Default)]
pub(crate) struct Site {
    pub(crate) namespace: String,
    /// Image of what is installed, and of what it is upgraded to.
    pub(crate) images: [String; 2],
    pub(crate) bucket: String,
    pub(crate) endpoint: String,
    /// Access key and secret key of the bucket.
    pub(crate) keys: [String; 2],
    /// Host and port of the PostgreSQL.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// User and password of the PostgreSQL.
    pub(crate) login: [String; 2],
    /// The program of `cargo xtask`.
    pub(crate) xtask: String,
    pub(crate) pipeline: String,
    pub(crate) run: String,
}

impl Site {
    /// Puts what stands here in the place of what the document leaves open.
    ///
    /// # Errors
    /// What is left open still.
    pub(crate) fn fill(&self, text: &str) -> Result<String, String> {
        let Self { keys, login, .. } = self;
        let [[repository, installed], [_, upgraded]] =
            self.images.each_ref().map(|image| support::image(image));
        let table = [
            ("namespace retail", format!("namespace {}", self.namespace)),
            (
                "namespace: retail",
                format!("namespace: {}", self.namespace),
            ),
            ("image.repository=registry.example.com/musubi", repository),
            ("image.digest=sha256:4f1c…", installed),
            ("image.digest=sha256:9a3b…", upgraded),
            ("KEY_ID=…", format!("KEY_ID={}", keys[0])),
            ("ACCESS_KEY=…", format!("ACCESS_KEY={}", keys[1])),
            ("KEY_ID: …", format!("KEY_ID: {}", keys[0])),
            ("ACCESS_KEY: …", format!("ACCESS_KEY: {}", keys[1])),
            ("username: …", format!("username: {}", login[0])),
            ("password: …", format!("password: {}", login[1])),
            (
                "bucket: customer-data",
                format!("bucket: {}, endpoint: \"{}\"", self.bucket, self.endpoint),
            ),
            (
                "host: db.example.com",
                format!("host: {}, port: {}, tls: disable", self.host, self.port),
            ),
            ("timeZone: Asia/Tokyo", format!("timeZone: {}", zone())),
            ("cargo xtask", self.xtask.clone()),
            ("PIPELINE", self.pipeline.clone()),
            ("RUN", self.run.clone()),
        ];
        let filled = table
            .into_iter()
            .fold(text.to_owned(), |text, (open, value)| {
                text.replace(open, &value)
            });
        let name = |word: &&str| word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase());
        let mut words = filled.split(|c: char| !c.is_alphanumeric() && c != '_');
        let open = ["…", "example.com"]
            .into_iter()
            .find(|open| filled.contains(open));
        match open.or_else(|| words.find(name)) {
            Some(open) => Err(format!("{open} is left open in: {filled}")),
            None => Ok(filled),
        }
    }
}
