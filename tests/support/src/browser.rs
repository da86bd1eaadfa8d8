//! A headless Chromium, spoken to in the DevTools protocol over its pipe: no port, no further program. It
//! ends when the pipe closes, so also with the test process.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use crate::StartError;

const BY_HAND: &str = "apt-get install -y chromium (or set MUSUBI_CHROMIUM to the program)";

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Width in CSS pixels.
    pub width: u32,
    /// Whether the device is one that is held in the hand.
    pub phone: bool,
    /// Whether the reader prefers dark pages.
    pub dark: bool,
    /// Whether the page is printed.
    pub print: bool,
}

/// A browser with one page.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts Chromium: `MUSUBI_CHROMIUM`, or the one on the PATH.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn start() -> Result<Self, StartError> {
        let program = std::env::var_os("MUSUBI_CHROMIUM").unwrap_or_else(|| "chromium".into());
        let profile = tempfile::tempdir()?;
        // Chromium takes commands on descriptor 3 and answers on 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = || StartError("Chromium has no pipe".into());
        let input = child.stdin.take().ok_or_else(pipe)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(pipe)?);
        let mut browser = Self {
            child,
            input,
            output,
            session: None,
            last: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach)?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Opens a page and waits until it is loaded. What the page before said is forgotten.
    ///
    /// # Errors
    /// When the browser is gone or refuses.
    pub fn open(&mut self, url: &str, view: View) -> Result<(), StartError> {
        let size = json!({"width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": view.phone});
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = if view.dark { "dark" } else { "light" };
        let media = json!({
            "media": if view.print { "print" } else { "" },
            "features": [{"name": "prefers-color-scheme", "value": scheme}],
        });
        self.call("Emulation.setEmulatedMedia", media)?;
        self.events.clear();
        self.call("Page.navigate", json!({"url": url}))?;
        while !self
            .events
            .iter()
            .any(|e| e["method"] == "Page.loadEventFired")
        {
            let event = self.read()?;
            self.events.push(event);
        }
        Ok(())
    }

    /// The value of a JavaScript expression on the page.
    ///
    /// # Errors
    /// When the browser is gone, or the expression throws.
    pub fn ask(&mut self, expression: &str) -> Result<Value, StartError> {
        let answer = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", answer)?;
        if answer.get("exceptionDetails").is_some() {
            return Err(StartError(format!("{expression}: {answer}")));
        }
        Ok(answer["result"]["value"].clone())
    }

    /// The page as a PDF, in base64.
    ///
    /// # Errors
    /// When the browser is gone or refuses.
    pub fn pdf(&mut self) -> Result<String, StartError> {
        let pdf = self.call("Page.printToPDF", json!({"printBackground": true}))?;
        Ok(pdf["data"].as_str().unwrap_or_default().to_owned())
    }

    /// What the page said on the console or threw, and what the browser had to say about it.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let heard = [
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
        ];
        let said = |e: &&Value| heard.iter().any(|m| e["method"] == *m);
        self.events
            .iter()
            .filter(said)
            .map(|e| e["params"].to_string())
            .collect()
    }

    /// The addresses that were asked for, the page's own among them.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let sent = self
            .events
            .iter()
            .filter(|e| e["method"] == "Network.requestWillBeSent");
        sent.map(|e| e["params"]["request"]["url"].to_string())
            .collect()
    }

    fn call(&mut self, method: &str, params: Value) -> Result<Value, StartError> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let sent = self.input.write_all(&bytes);
        sent.map_err(|_| StartError(format!("Chromium did not start: {BY_HAND}")))?;
        loop {
            let answer = self.read()?;
            if answer["id"] != json!(self.last) {
                self.events.push(answer);
                continue;
            }
            if let Some(error) = answer.get("error") {
                return Err(StartError(format!("{method}: {error}")));
            }
            return Ok(answer["result"].clone());
        }
    }

    fn read(&mut self) -> Result<Value, StartError> {
        let mut bytes = Vec::new();
        self.output.read_until(0, &mut bytes)?;
        if bytes.pop() != Some(0) {
            return Err(StartError(format!("Chromium ended: {BY_HAND}")));
        }
        serde_json::from_slice(&bytes).map_err(|e| StartError(e.to_string()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
