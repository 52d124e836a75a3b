//! The program `keyvault-emulator`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
};

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyvault-emulator"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn refused(args: &[&str]) -> String {
    let Output { status, stderr, .. } = command().args(args).output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

/// Ends the program when the test does.
pub(crate) struct Running(Child);

impl Running {
    /// Starts the program, which takes a free port; and the address that it prints.
    pub(crate) fn start(command: &mut Command) -> (Self, String) {
        let mut running = Self(command.args(["--address", "127.0.0.1:0"]).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (running, line.trim().to_owned())
    }

    /// Tells the program to end, and waits for it.
    pub(crate) fn end(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(told.success());
        assert!(self.0.wait().unwrap().success(), "it ended by itself");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn it_prints_its_address_answers_and_ends_when_it_is_told() {
    let (running, url) = Running::start(command().arg("--forbidden"));
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = "GET /secrets?api-version=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("ForbiddenByRbac"), "{answer}");
    running.end();
}

#[test]
fn it_says_what_is_wrong() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(
        refused(&["--address", &address])
            .contains(&format!("{address} is in use by another program: choose another port"))
    );
    assert!(refused(&["--address", "0.0.0.0:0"]).contains("a loopback address, or allow_remote set"));
    assert!(refused(&["--fail-rate", "2"]).contains("fail rate must be 0 to 1"));
    assert!(refused(&["--token-env", "MEMSTACHE_NO_SUCH_VARIABLE"]).contains("MEMSTACHE_NO_SUCH_VARIABLE is not set"));
}
