//! A browser, driven by WebDriver.

use std::{env, process::Stdio, time::Duration};

use axum::http::Method;
use data_encoding::BASE64;
use fantoccini::{Client, ClientBuilder, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};
use url::{ParseError, Url};

use crate::sources::{Stopwatch, millis, secs};

/// A browser without a window; its driver ends with it.
pub(crate) struct Browser {
    pub(crate) client: Client,
    _driver: Child,
}

/// A command of Chromium's driver beyond the standard.
#[derive(Debug)]
struct Extra {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extra {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

fn told(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| panic!("cargo xtask test sets {variable}"))
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let mut command = Command::new(told("MEMSTACHE_CHROMEDRIVER"));
        let mut driver = command.arg("--port=0").stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
            panic!("the driver ended");
        };
        let port = timeout(secs(30), port).await.expect("the driver starts");
        let wanted = json!({
            "goog:chromeOptions": {
                "binary": told("MEMSTACHE_CHROMIUM"),
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                         "--window-size=1280,900"],
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(wanted) = wanted else { unreachable!("an object") };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(wanted).connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        Self { client, _driver: driver }
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until a script says yes.
    pub(crate) async fn until(&self, limit: Duration, what: &str, script: &str) {
        let started = Stopwatch::start();
        while self.run(script).await != true {
            if started.elapsed() > limit {
                let text = self.run("return document.body.innerText").await;
                let errors = self.errors(|_| true).await;
                panic!("not within {limit:?}: {what}\n{errors:?}\n{}", text.as_str().unwrap_or_default());
            }
            sleep(millis(100)).await;
        }
    }

    /// Shows the page on a screen of this size.
    pub(crate) async fn look(&self, width: u32, height: u32, dark: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// A picture of the whole page, as PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let answer = self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        BASE64.decode(answer["data"].as_str().unwrap().as_bytes()).unwrap()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.client.issue_cmd(Extra { path: "goog/cdp/execute", body }).await.unwrap()
    }

    /// What the console has said since it was asked for the last time: errors and warnings that are `wanted`.
    pub(crate) async fn errors(&self, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
        let said = self.client.issue_cmd(Extra { path: "se/log", body: json!({ "type": "browser" }) }).await.unwrap();
        let said = said.as_array().unwrap().iter();
        let bad = said.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.filter(|entry| wanted(entry)).map(Value::to_string).collect()
    }

    pub(crate) async fn end(self) {
        self.client.close().await.unwrap();
    }
}
