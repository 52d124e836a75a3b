//! The servers by which nodes find each other: how they are set up, and when they are ready.

use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{Service, config::Part};

/// The zone that takes updates from this machine.
const ZONE: &str = "memstache.test";
/// A zone whose file is not there: all that is asked of it fails.
const BROKEN: &str = "broken.test";
/// How long a server may take to take a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// The text of the configuration: on loopback only.
pub(super) fn text(service: Service, folder: &Path, port: u16) -> String {
    match service {
        Service::Nats => format!("host: 127.0.0.1\nport: {port}\n"),
        Service::KubeStub => format!("{{\"port\": {port}}}\n"),
        _ => named(folder, port),
    }
}

/// BIND as the server of two zones, that asks nobody else, and is told nothing but by updates from this machine.
fn named(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "options {{
  directory \"{folder}\";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  session-keyfile \"{folder}/session.key\";
  managed-keys-directory \"{folder}\";
  recursion no;
  dnssec-validation no;
  notify no;
}};
controls {{ }};
zone \"{ZONE}\" {{ type primary; file \"{ZONE}\"; allow-update {{ 127.0.0.1; }}; }};
zone \"{BROKEN}\" {{ type primary; file \"{BROKEN}\"; }};
"
    )
}

/// The words before the file of the configuration.
pub(super) fn words(service: Service) -> &'static [&'static str] {
    match service {
        Service::Nats => &["--config"],
        Service::KubeStub => &["kube-stub"],
        _ => &["-g", "-c"],
    }
}

/// What lies beside the configuration, by name.
pub(super) fn files(part: Part) -> impl Iterator<Item = (&'static str, String)> {
    let zone =
        format!("$TTL 1\n@ IN SOA ns.{ZONE}. admin.{ZONE}. 1 60 60 60 1\n@ IN NS ns.{ZONE}.\nns IN A 127.0.0.1\n");
    (part == Part::Discovery(Service::Dns)).then_some((ZONE, zone)).into_iter()
}

/// An error as long as nobody takes connections there.
pub(super) fn answers(port: u16) -> Result<()> {
    let at = (Ipv4Addr::LOCALHOST, port).into();
    TcpStream::connect_timeout(&at, PATIENCE).map(drop).with_context(|| format!("nobody listens at {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listens_on_loopback_alone() {
        for service in Service::DISCOVERY {
            let text = text(service, Path::new("/t"), 21_001);
            assert!(text.contains("21001") && !text.contains("0.0.0.0"), "{text}");
        }
        let zones = files(Part::Discovery(Service::Dns)).collect::<Vec<_>>();
        assert!(zones.len() == 1 && zones[0].1.contains("SOA"));
        assert_eq!(files(Part::Primary).count() + files(Part::Discovery(Service::Nats)).count(), 0);
    }

    #[test]
    fn who_does_not_listen_does_not_answer() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        answers(port).unwrap();
        drop(listener);
        assert!(answers(port).is_err());
    }
}
