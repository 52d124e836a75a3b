//! The text of a server's configuration.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Service, discovery};

/// The name under which sentinels watch the primary.
pub(crate) const SENTINEL_NAME: &str = "memstache";
/// How many sentinels must agree that the primary is gone.
const QUORUM: u8 = 2;

/// A server that is to be started.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    /// Where its files lie; its own.
    pub(super) folder: PathBuf,
    pub(super) port: u16,
    pub(super) tls: Option<Tls>,
    pub(super) part: Part,
}

/// What a server is in its topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Alone, or the primary of sentinels.
    Primary,
    /// Copies the primary at this port.
    Replica { primary: u16 },
    /// Watches the primary at this port.
    Sentinel { primary: u16, patience: Duration },
    /// A member of a cluster.
    Member { bus: u16, patience: Duration },
    /// By which nodes find each other.
    Discovery(Service),
}

/// What a server needs for TLS.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) port: u16,
    pub(super) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Whether clients without a certificate are refused.
    pub(super) mutual: bool,
}

/// The words before and after the file of the configuration, for servers of Redis and for sentinels.
pub(super) const SERVER_WORDS: (&[&str], &[&str]) = (&[], &[]);
pub(super) const SENTINEL_WORDS: (&[&str], &[&str]) = (&[], &["--sentinel"]);

/// What every configuration is called.
pub(super) const FILE: &str = "server.conf";

/// The file of a server's configuration; its path in a command line tells that a process is ours.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// What a server says while it runs.
pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

impl Plan {
    /// The port that clients are told.
    pub(super) fn client_port(&self) -> u16 {
        self.tls.as_ref().map_or(self.port, |tls| tls.port)
    }

    pub(super) fn is_sentinel(&self) -> bool {
        matches!(self.part, Part::Sentinel { .. })
    }

    /// The words before and after the file of the configuration.
    pub(super) fn words(&self) -> (&'static [&'static str], &'static [&'static str]) {
        match self.part {
            Part::Discovery(service) => (discovery::words(service), &[]),
            Part::Sentinel { .. } => SENTINEL_WORDS,
            _ => SERVER_WORDS,
        }
    }

    /// The text of the configuration: on loopback only, nothing kept on disk.
    pub(super) fn text(&self) -> String {
        if let Part::Discovery(service) = self.part {
            return discovery::text(service, &self.folder, self.port);
        }
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").expect("a string takes what it is given");
        line("bind 127.0.0.1".to_owned());
        // With TLS too: by this port xtask looks after the server without speaking TLS itself.
        line(format!("port {}", self.port));
        line(format!("dir {}", quoted(&self.folder)));
        line(format!("logfile {}", quoted(&log(&self.folder))));
        // The command line stays as it was, so that the process can be told by it.
        line("set-proc-title no".to_owned());
        if let Part::Sentinel { primary, patience } = self.part {
            sentinel(primary, patience).into_iter().for_each(line);
            return out;
        }
        let common = [
            "save \"\"",
            "appendonly no",
            "repl-diskless-sync yes",
            "repl-diskless-sync-delay 0",
            "enable-debug-command local",
            // A test that runs away gets an error, and not the memory of the machine.
            "maxmemory 2gb",
            "maxmemory-policy noeviction",
        ];
        common.iter().for_each(|text| line((*text).to_owned()));
        match self.part {
            Part::Replica { primary } => line(format!("replicaof 127.0.0.1 {primary}")),
            Part::Member { bus, patience } => member(bus, patience).into_iter().for_each(&mut line),
            Part::Primary | Part::Sentinel { .. } | Part::Discovery(_) => {}
        }
        if let Some(tls) = &self.tls {
            let in_cluster = matches!(self.part, Part::Member { .. });
            tls.lines(in_cluster).into_iter().for_each(line);
        }
        out
    }
}

impl Tls {
    fn lines(&self, in_cluster: bool) -> Vec<String> {
        let yes_no = |yes| if yes { "yes" } else { "no" };
        vec![
            format!("tls-port {}", self.port),
            format!("tls-ca-cert-file {}", quoted(&self.authority)),
            format!("tls-cert-file {}", quoted(&self.certificate)),
            format!("tls-key-file {}", quoted(&self.key)),
            format!("tls-auth-clients {}", if self.mutual { "yes" } else { "optional" }),
            format!("tls-replication {}", yes_no(in_cluster)),
            format!("tls-cluster {}", yes_no(in_cluster)),
        ]
    }
}

fn sentinel(primary: u16, patience: Duration) -> Vec<String> {
    let millis = patience.as_millis();
    vec![
        format!("sentinel monitor {SENTINEL_NAME} 127.0.0.1 {primary} {QUORUM}"),
        format!("sentinel down-after-milliseconds {SENTINEL_NAME} {millis}"),
        format!("sentinel failover-timeout {SENTINEL_NAME} {}", millis * 5),
        format!("sentinel parallel-syncs {SENTINEL_NAME} 2"),
    ]
}

fn member(bus: u16, patience: Duration) -> Vec<String> {
    vec![
        "cluster-enabled yes".to_owned(),
        "cluster-config-file nodes.conf".to_owned(),
        format!("cluster-port {bus}"),
        format!("cluster-node-timeout {}", patience.as_millis()),
        // A replica stays with its primary, so that what a fault does is known beforehand.
        "cluster-allow-replica-migration no".to_owned(),
    ]
}

/// A path as the configuration's own quoting wants it.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(part: Part, tls: Option<Tls>) -> Plan {
        Plan { name: "a".to_owned(), folder: PathBuf::from("/t/my servers/a"), port: 21_001, tls, part }
    }

    fn tls(mutual: bool) -> Tls {
        let file = |name: &str| PathBuf::from("/t").join(name);
        Tls {
            port: 21_002,
            authority: file("ca.pem"),
            certificate: file("server.pem"),
            key: file("server.key"),
            mutual,
        }
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|it| it == line)
    }

    #[test]
    fn a_server_listens_on_loopback_and_keeps_nothing() {
        let text = plan(Part::Primary, None).text();
        for line in ["bind 127.0.0.1", "port 21001", "save \"\"", "appendonly no", "dir \"/t/my servers/a\""] {
            assert!(has(&text, line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("tls") && !text.contains("cluster") && !text.contains("replicaof"), "{text}");
    }

    #[test]
    fn a_replica_names_its_primary() {
        assert!(has(&plan(Part::Replica { primary: 21_009 }, None).text(), "replicaof 127.0.0.1 21009"));
    }

    #[test]
    fn a_sentinel_watches_and_has_no_settings_of_servers() {
        let plan = plan(Part::Sentinel { primary: 21_009, patience: Duration::from_millis(500) }, None);
        let text = plan.text();
        assert!(plan.is_sentinel() && has(&text, "sentinel monitor memstache 127.0.0.1 21009 2"), "{text}");
        assert!(has(&text, "sentinel down-after-milliseconds memstache 500"), "{text}");
        assert!(has(&text, "sentinel failover-timeout memstache 2500"), "{text}");
        assert!(!text.contains("maxmemory") && !text.contains("save"), "{text}");
    }

    #[test]
    fn a_member_with_tls_uses_it_between_servers_too() {
        let plan = plan(Part::Member { bus: 21_003, patience: Duration::from_secs(1) }, Some(tls(false)));
        let text = plan.text();
        assert_eq!(plan.client_port(), 21_002);
        for line in ["cluster-port 21003", "cluster-node-timeout 1000", "tls-port 21002", "tls-cluster yes"] {
            assert!(has(&text, line), "{line} is missing in\n{text}");
        }
        assert!(has(&text, "tls-auth-clients optional") && has(&text, "tls-replication yes"), "{text}");
    }

    #[test]
    fn a_single_server_may_want_certificates_of_its_clients() {
        let text = plan(Part::Primary, Some(tls(true))).text();
        assert!(has(&text, "tls-auth-clients yes") && has(&text, "tls-cluster no"), "{text}");
    }

    #[test]
    fn paths_are_quoted() {
        assert_eq!(quoted(Path::new(r#"/a "b"\c"#)), r#""/a \"b\"\\c""#);
    }
}
