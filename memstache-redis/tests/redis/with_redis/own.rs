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
}

impl Server {
    /// Starts the same program as that of the server which tests share, with these options.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let info = kit::raw(&["INFO", "server"]).await;
        let program =
            info.lines().find_map(|line| line.strip_prefix("executable:")).expect("a server knows its program");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("a bound listener").port();
        drop(listener);
        let mut command = Command::new(program.trim());
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        // A replica writes what it is sent into a file all the same.
        command.args(["--dir", env!("CARGO_TARGET_TMPDIR"), "--dbfilename", &format!("own-{port}.rdb")]);
        command.args(options).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().expect("the program runs");
        let password = options.iter().skip_while(|option| **option != "--requirepass").nth(1);
        let server = Self { child, port, password: password.map(|password| (*password).to_owned()) };
        kit::until("the server answers", async || server.call(&["PING"]).await.is_some_and(|it| it == "+PONG")).await;
        server
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
