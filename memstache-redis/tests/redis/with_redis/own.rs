//! A server of a test's own, which may be paused and reconfigured without harm to others.

use std::{process::Stdio, time::Duration};

use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

use super::kit;

/// One server, ended with this.
pub(crate) struct Server {
    child: Child,
    port: u16,
    /// Sent before each command.
    password: Option<String>,
    /// What it keeps for itself.
    file: Option<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be ended already, and have written nothing yet.
        let _ = self.child.start_kill();
        let _ = self.file.take().map(std::fs::remove_file);
    }
}

impl Server {
    /// Starts the same program as that of the server which tests share, with these options.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let port = free_port().await;
        let number = port.to_string();
        // A replica writes what it is sent into a file all the same.
        let file = format!("own-{port}.rdb");
        let own = ["--port", &number, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dbfilename", &file];
        let child = run(&[&own[..], &["--dir", env!("CARGO_TARGET_TMPDIR")], options].concat()).await;
        let password = options.iter().skip_while(|option| **option != "--requirepass").nth(1);
        let server = Self { child, port, password: password.map(|password| (*password).to_owned()), file: None };
        server.answers().await;
        server
    }

    /// Starts a sentinel that watches a server as `main`, and by itself decides that it is gone.
    pub(crate) async fn sentinel(of: &Self) -> Self {
        let port = free_port().await;
        let watches = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
            of.port
        );
        // It writes down what it learns.
        let file = format!("{}/sentinel-{port}.conf", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&file, watches).expect("the folder of tests");
        let child = run(&[&file, "--sentinel"]).await;
        let sentinel = Self { child, port, password: None, file: Some(file) };
        sentinel.answers().await;
        sentinel
    }

    /// Starts a member of a cluster, alone yet.
    pub(crate) async fn member() -> Self {
        let bus = free_port().await.to_string();
        let file = format!("{}/nodes-{bus}.conf", env!("CARGO_TARGET_TMPDIR"));
        let _ = std::fs::remove_file(&file); // of an earlier run, killed before it could end its own
        let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-config-file", &file];
        let bus = ["--cluster-port", &bus, "--cluster-replica-validity-factor", "0"];
        let mut member = Self::start(&[&cluster[..], &bus].concat()).await;
        member.file = Some(file);
        member
    }

    async fn answers(&self) {
        kit::until("the server answers", async || self.call(&["PING"]).await.is_some_and(|it| it == "+PONG")).await;
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Sends a command; `None` if nobody answers.
    pub(crate) async fn call(&self, command: &[&str]) -> Option<String> {
        let login = self.password.as_deref().map(|password| vec!["AUTH", password]);
        let commands: Vec<&[&str]> = login.iter().map(Vec::as_slice).chain([command]).collect();
        let address = self.address();
        let asked = kit::ask(&address, &commands);
        tokio::time::timeout(Duration::from_secs(2), asked).await.ok()?.ok()
    }

    /// Pauses the process: connections stay, and nothing is answered.
    pub(crate) async fn pause(&self) {
        self.signal("-STOP").await;
    }

    pub(crate) async fn resume(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let done = Command::new("kill").args([signal, &pid]).status().await.expect("kill is there");
        assert!(done.success(), "{done}");
    }
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("a bound listener").port()
}

/// Starts the same program as that of the server which tests share.
async fn run(args: &[&str]) -> Child {
    let info = kit::raw(&["INFO", "server"]).await;
    let program = info.lines().find_map(|line| line.strip_prefix("executable:")).expect("a server knows its program");
    let mut command = Command::new(program.trim());
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("the program runs")
}
