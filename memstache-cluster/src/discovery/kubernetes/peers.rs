//! The addresses that a pod or a slice stands for.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice};

/// At which port nodes gossip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Name(String),
    Number(u16),
}

/// What stands for addresses.
pub(super) trait Peers {
    /// The addresses at which to ask who is there; none if it ends, or says nothing that can be used.
    fn peers(&self, port: &Port) -> Vec<SocketAddr>;
}

impl Peers for Pod {
    /// Ready or not: readiness may wait for the others.
    fn peers(&self, port: &Port) -> Vec<SocketAddr> {
        let (Some(spec), Some(status)) = (&self.spec, &self.status) else { return Vec::new() };
        let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        if ended || self.metadata.deletion_timestamp.is_some() {
            return Vec::new();
        }
        let Some(ip) = status.pod_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()) else { return Vec::new() };
        let number = match port {
            Port::Number(number) => Some(*number),
            Port::Name(name) => {
                let mut ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
                let named = ports.find(|port| port.name.as_ref() == Some(name));
                named.and_then(|port| usable(port.container_port))
            }
        };
        number.map(|port| SocketAddr::new(ip, port)).into_iter().collect()
    }
}

impl Peers for EndpointSlice {
    /// Ready or not, but for those that end.
    fn peers(&self, port: &Port) -> Vec<SocketAddr> {
        let number = match port {
            Port::Number(number) => Some(*number),
            Port::Name(name) => {
                let named = self.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
                named.and_then(|port| port.port).and_then(usable)
            }
        };
        let Some(number) = number else { return Vec::new() };
        let there = self.endpoints.iter().filter(|endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.terminating) != Some(true)
        });
        // Those of a slice of names are no addresses.
        let ips = there.flat_map(|endpoint| &endpoint.addresses).filter_map(|ip| ip.parse::<IpAddr>().ok());
        ips.map(|ip| SocketAddr::new(ip, number)).collect()
    }
}

fn usable(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> Port {
        Port::Name("gossip".to_owned())
    }

    fn pod(change: impl Fn(String) -> String) -> Vec<SocketAddr> {
        let json = r#"{"metadata":{"name":"cache-0"},"spec":{"containers":[{"name":"a"},{"name":"b","ports":[
            {"name":"peers","containerPort":3320},{"name":"gossip","containerPort":3322,"protocol":"UDP"}]}]},
            "status":{"phase":"Running","podIP":"10.1.0.7","conditions":[{"type":"Ready","status":"False"}]}}"#;
        serde_json::from_str::<Pod>(&change(json.to_owned())).unwrap().peers(&port())
    }

    #[test]
    fn a_pod_that_is_not_ready_is_a_peer() {
        assert_eq!(pod(|json| json), ["10.1.0.7:3322".parse().unwrap()]);
        assert_eq!(pod(|json| json.replace("10.1.0.7", "fd00::7")), ["[fd00::7]:3322".parse().unwrap()]);
        assert_eq!(pod(|json| json.replace("Running", "Pending")).len(), 1, "its address is known already");
    }

    #[test]
    fn a_pod_that_ends_or_says_too_little_is_none() {
        for (from, to) in [
            ("Running", "Succeeded"),
            ("Running", "Failed"),
            ("\"name\":\"cache-0\"", "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""),
            ("10.1.0.7", ""),
            ("10.1.0.7", "somewhere"),
            ("3322", "0"),
            ("3322", "70000"),
            ("\"gossip\"", "\"other\""),
        ] {
            assert_eq!(pod(|json| json.replace(from, to)), [], "{to}");
        }
        assert_eq!(Pod::default().peers(&port()), []);
    }

    #[test]
    fn a_port_may_be_a_number() {
        let json = r#"{"metadata":{},"spec":{"containers":[]},"status":{"podIP":"10.1.0.7"}}"#;
        let pod: Pod = serde_json::from_str(json).unwrap();
        assert_eq!(pod.peers(&Port::Number(9)), ["10.1.0.7:9".parse().unwrap()]);
        assert_eq!(pod.peers(&port()), []);
    }

    #[test]
    fn a_slice_has_many_but_not_those_that_end() {
        let json = r#"{"metadata":{},"addressType":"IPv4","ports":[{"name":"gossip","port":3322}],"endpoints":[
            {"addresses":["10.1.0.1"],"conditions":{"ready":true}},
            {"addresses":["10.1.0.2"],"conditions":{"ready":false}},
            {"addresses":["10.1.0.3"],"conditions":{"ready":false,"terminating":true}},
            {"addresses":["host.example"]},{"addresses":["fd00::1"]}]}"#;
        let slice: EndpointSlice = serde_json::from_str(json).unwrap();
        let expected = ["10.1.0.1:3322", "10.1.0.2:3322", "[fd00::1]:3322"].map(|at| at.parse().unwrap());
        assert_eq!(slice.peers(&port()), expected);
        assert_eq!(slice.peers(&Port::Name("x".to_owned())), []);
        assert_eq!(slice.peers(&Port::Number(1)).len(), 3);
    }
}
