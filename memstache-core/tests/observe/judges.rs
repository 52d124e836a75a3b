//! What others wrote reads what we send: `cargo xtask test` installs both, and says so if it cannot.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, File},
    io::Write as _,
    net::TcpListener,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    time::Duration,
};

use memstache_core::{
    observe::{INSTRUMENTS, Registry},
    telemetry::Telemetry,
};
use tokio::{net::TcpStream, time::timeout};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::workload::{self, SECRET};

fn told(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: cargo xtask test sets it"))
}

/// Rotel, which prints what it receives.
struct Rotel {
    child: Child,
    address: String,
    /// Where it prints; into a pipe that nobody reads it would hang.
    printed: PathBuf,
}

impl Rotel {
    fn start() -> Self {
        // Two ports that were free a moment ago.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [http, grpc] = free.each_ref().map(|it| it.local_addr().unwrap().to_string());
        drop(free);
        let find = "import importlib.util as u, os, sys; \
                    agent = os.path.join(u.find_spec('rotel').submodule_search_locations[0], 'rotel-agent'); \
                    os.execv(agent, [agent] + sys.argv[1:])";
        let mut command = Command::new(told("MEMSTACHE_ROTEL_PYTHON"));
        command.args(["-c", find, "start", "--exporter", "blackhole"]);
        command.args(["--debug-log", "traces", "--debug-log", "metrics", "--debug-log-verbosity", "detailed"]);
        command.args(["--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc]);
        let printed = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rotel-{}.txt", process::id()));
        command.stdin(Stdio::null()).stdout(File::create(&printed).unwrap()).stderr(Stdio::inherit());
        Self { child: command.spawn().unwrap(), address: http, printed }
    }

    /// Waits until it listens.
    async fn listens(&self) {
        let listening = async {
            while TcpStream::connect(&self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(60), listening).await.expect("rotel listens");
    }

    /// Returns what it printed, once it has printed so many spans and every one of these texts.
    async fn printed(&self, spans: u64, texts: &[&str]) -> String {
        let mut last = String::new();
        let printed = async {
            loop {
                last = fs::read_to_string(&self.printed).unwrap();
                let count = last.lines().filter(|line| line.starts_with("Span #")).count() as u64;
                if count >= spans && texts.iter().all(|text| last.contains(text)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = timeout(Duration::from_secs(60), printed).await;
        assert!(ended.is_ok(), "not all was printed: {last}");
        last
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_file(&self.printed));
    }
}

#[tokio::test]
#[ignore = "needs the collector rotel; run by cargo xtask test"]
async fn a_collector_reads_the_documented_spans_and_metrics() {
    let rotel = Rotel::start();
    rotel.listens().await;
    let telemetry = Telemetry::builder("shop")
        .collector(format!("http://{}", rotel.address))
        .attribute("zone", "north")
        .build()
        .unwrap();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(telemetry.layer()));
    workload::everything(telemetry.registry().recorder("products").unwrap(), Some(telemetry.registry())).await;
    drop(guard);
    let stats = telemetry.shutdown().await;
    assert_eq!((stats.spans_dropped, stats.exports_dropped, stats.exports_delivered), (0, 0, 1));
    let names: Vec<_> = INSTRUMENTS.iter().map(|instrument| instrument.name).collect();
    let printed = rotel.printed(stats.spans_delivered, &names).await;

    let names: BTreeSet<_> = values(&printed, "Name").collect();
    for instrument in INSTRUMENTS {
        assert!(names.contains(instrument.name), "{} in {names:?}", instrument.name);
        assert!(values(&printed, "Description").any(|it| it == instrument.description), "{}", instrument.name);
        for attribute in instrument.attributes {
            assert!(printed.contains(&format!("-> {}: Str(", attribute.name())), "{}", attribute.name());
        }
    }
    for span in ["get", "set", "remove", "touch", "invalidate", "explain", "load"] {
        assert!(names.contains(format!("memstache.{span}").as_str()), "{span} in {names:?}");
    }
    let spans = printed.lines().filter(|line| line.starts_with("Span #")).count();
    assert_eq!(spans as u64, stats.spans_delivered);
    assert!(printed.contains("-> service.name: Str(shop)") && printed.contains("-> zone: Str(north)"));
    assert!(!printed.contains(SECRET));
}

/// The values that follow a name and a colon.
fn values<'a>(printed: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    printed.lines().filter_map(move |line| {
        line.trim_start().trim_start_matches("->").trim_start().strip_prefix(name)?.trim_start().strip_prefix(": ")
    })
}

#[tokio::test]
#[ignore = "needs Prometheus' promtool; run by cargo xtask test"]
async fn prometheus_own_tool_finds_nothing_wrong_with_the_text() {
    let registry = Registry::new();
    workload::everything(registry.recorder("products").unwrap(), Some(&registry)).await;
    let mut promtool = Command::new(told("MEMSTACHE_PROMTOOL"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(registry.prometheus_text().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
