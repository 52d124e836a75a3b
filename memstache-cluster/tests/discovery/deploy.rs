//! What is in `deploy/` is what Kubernetes and Prometheus read, and fits together.

#[allow(dead_code, reason = "the program of which it is reads more of it")]
#[path = "../../examples/node/settings.rs"]
mod settings;

use std::{fmt::Debug, fs, net::SocketAddr, path::PathBuf, process::Command};

use k8s_openapi::{
    Resource,
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::{ConfigMap, PodTemplateSpec, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{Role, RoleBinding},
    },
};
use memstache_core::config::CacheConfig;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::kit::{Folder, program};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// Every document of a file.
fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder().join("kubernetes").join(file)).unwrap();
    text.split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect()
}

/// Reads a document as what it says that it is. What the schema does not know, or would write in another place, is an error.
fn typed<K: Resource + Serialize + DeserializeOwned + Debug>(document: &Value) -> K {
    assert_eq!((&document["kind"], &document["apiVersion"]), (&K::KIND.into(), &K::API_VERSION.into()));
    let object: K = serde_json::from_value(document.clone()).unwrap();
    contained(document, &serde_json::to_value(&object).unwrap(), K::KIND);
    object
}

/// All that was written is in what was read.
fn contained(written: &Value, read: &Value, at: &str) {
    match (written, read) {
        (Value::Object(written), Value::Object(_)) => {
            written.iter().for_each(|(key, value)| contained(value, &read[key], &format!("{at}.{key}")));
        }
        (Value::Array(written), Value::Array(read)) => {
            assert_eq!(written.len(), read.len(), "{at}");
            written.iter().zip(read).for_each(|(written, read)| contained(written, read, at));
        }
        _ => assert_eq!(written, read, "{at} is not what the schema knows"),
    }
}

fn one<K: Resource + Serialize + DeserializeOwned + Debug>(file: &str) -> K {
    let documents = documents(file);
    assert_eq!(documents.len(), 1, "{file}");
    typed(&documents[0])
}

/// The file of settings within the map.
fn node_file() -> CacheConfig {
    let config: ConfigMap = one("config.yaml");
    CacheConfig::new().toml(&config.data.unwrap()["node.toml"])
}

fn node_settings() -> (settings::Node, settings::Discovery) {
    settings::read(&node_file()).unwrap()
}

#[test]
fn the_schema_knows_all_that_is_written() {
    one::<Service>("service.yaml");
    one::<PodDisruptionBudget>("pdb.yaml");
    one::<NetworkPolicy>("networkpolicy.yaml");
    let rbac = documents("rbac.yaml");
    typed::<ServiceAccount>(&rbac[0]);
    let role: Role = typed(&rbac[1]);
    let binding: RoleBinding = typed(&rbac[2]);
    assert_eq!(rbac.len(), 3);
    let rules = role.rules.unwrap();
    assert_eq!((rules.len(), &rules[0].verbs), (1, &vec!["list".to_owned(), "watch".to_owned()]), "and nothing more");
    assert_eq!(rules[0].resources.as_deref(), Some(&["pods".to_owned()][..]));
    assert_eq!(Some(binding.role_ref.name), role.metadata.name);
    let known = [
        "config.yaml",
        "deployment.yaml",
        "networkpolicy.yaml",
        "pdb.yaml",
        "rbac.yaml",
        "service.yaml",
        "statefulset.yaml",
    ];
    let mut files: Vec<_> = fs::read_dir(folder().join("kubernetes"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, known, "no file goes unread");
}

#[test]
fn a_schema_notices_what_it_does_not_know() {
    let document: Value =
        serde_saphyr::from_str("apiVersion: v1\nkind: Service\nmetadata: {}\nspec:\n  publishNotReady: true").unwrap();
    assert!(std::panic::catch_unwind(|| typed::<Service>(&document)).is_err());
}

#[test]
fn both_kinds_of_set_run_the_same_pods_which_fit_the_rest() {
    let (set, deployment): (StatefulSet, Deployment) = (one("statefulset.yaml"), one("deployment.yaml"));
    let (set, deployment) = (set.spec.unwrap(), deployment.spec.unwrap());
    assert_eq!(set.template, deployment.template);
    assert_eq!(set.selector, deployment.selector);
    let labels = set.template.metadata.as_ref().unwrap().labels.clone().unwrap();
    assert_eq!(set.selector.match_labels.as_ref(), Some(&labels));
    let service: Service = one("service.yaml");
    let spec = service.spec.unwrap();
    assert_eq!((set.service_name, spec.selector.as_ref()), (service.metadata.name, Some(&labels)));
    assert_eq!((spec.cluster_ip.as_deref(), spec.publish_not_ready_addresses), (Some("None"), Some(true)));
    let budget: PodDisruptionBudget = one("pdb.yaml");
    assert_eq!(budget.spec.unwrap().selector.unwrap().match_labels, Some(labels.clone()));
    let policy: NetworkPolicy = one("networkpolicy.yaml");
    assert_eq!(policy.spec.unwrap().pod_selector.unwrap().match_labels, Some(labels.clone()));
    let (_, discovery) = node_settings();
    let settings::Discovery::Kubernetes { labels: Some(selector), port_name, .. } = discovery else {
        panic!("{discovery:?}")
    };
    let (name, value) = selector.split_once('=').unwrap();
    assert_eq!(labels[name], value);
    fits(&set.template, &port_name);
}

/// The ports, probes, files and times of a pod are those of the node's settings.
fn fits(template: &PodTemplateSpec, gossip: &str) {
    let (node, _) = node_settings();
    let pod = template.spec.as_ref().unwrap();
    let container = &pod.containers[0];
    let port = |name: &str| {
        let ports = container.ports.as_ref().unwrap();
        ports.iter().find(|port| port.name.as_deref() == Some(name)).unwrap().container_port
    };
    let of = |at: SocketAddr| i32::from(at.port());
    assert_eq!(port("admin"), of(node.admin.as_ref().unwrap().at));
    assert_eq!((port("peers"), port("health"), port(gossip)), (of(node.bind), of(node.health), of(node.gossip)));
    for probe in [&container.startup_probe, &container.liveness_probe, &container.readiness_probe] {
        let get = probe.as_ref().unwrap().http_get.as_ref().unwrap();
        assert_eq!(serde_json::to_value(&get.port).unwrap(), "health");
    }
    assert!(u64::try_from(pod.termination_grace_period_seconds.unwrap()).unwrap() > node.shutdown.as_secs());
    let tls = node.tls.unwrap();
    let mounts = container.volume_mounts.as_ref().unwrap();
    for file in [&node.secret, &tls.ca, &tls.certificate, &tls.key] {
        let mount = mounts
            .iter()
            .find(|mount| file.starts_with(&mount.mount_path))
            .unwrap_or_else(|| panic!("{file:?} is not mounted"));
        assert!(
            pod.volumes.as_ref().unwrap().iter().any(|volume| volume.name == mount.name && volume.secret.is_some())
        );
    }
    let variables: Vec<_> =
        container.env.iter().flatten().map(|variable| (variable.name.clone(), "10.0.0.1".to_owned())).collect();
    let (node, _) = settings::read(&node_file().variables("MEMSTACHE_", variables)).unwrap();
    assert_eq!((node.name.as_deref(), node.advertise), (Some("10.0.0.1"), [10, 0, 0, 1].into()));
    assert!(node.admin.unwrap().read_token.is_some(), "all can reach it: it needs one");
}

#[test]
fn the_example_file_has_every_setting_and_its_default() {
    let text = fs::read_to_string(folder().join("../examples/node/node.toml")).unwrap();
    let (given, defaults) =
        (settings::read(&CacheConfig::new().toml(&text)).unwrap(), settings::read(&CacheConfig::new()).unwrap());
    let shown = |mut read: (settings::Node, settings::Discovery)| {
        read.0.keyspaces.clear();
        format!("{read:?}")
    };
    assert_eq!(shown(given), shown(defaults));
    for wrong in [
        "[node]\nnmae = 'a'",
        "[node]\nbind = 'x'",
        "[node]\ntls_ca = 'x'",
        "[discovery]\nkind = 'x'",
        "[discovery]\nlabels = 'x'",
    ] {
        assert!(settings::read(&CacheConfig::new().toml(wrong)).is_err(), "{wrong}");
    }
}

#[test]
#[ignore = "needs promtool: cargo xtask test"]
fn prometheus_takes_its_configuration() {
    let folder = Folder::new();
    let text = fs::read_to_string(super::deploy::folder().join("prometheus/prometheus.yml")).unwrap();
    let token = folder.write("token", "0123456789abcdef");
    let text = text.replace("/etc/prometheus/memstache-read-token", token.to_str().unwrap());
    assert!(text.contains(token.to_str().unwrap()), "it shows the token");
    let check = |text: &str| {
        let file = folder.write("prometheus.yml", text);
        Command::new(program("MEMSTACHE_PROMTOOL")).args(["check", "config"]).arg(file).status().unwrap().success()
    };
    assert!(check(&text));
    assert!(!check(&text.replace("scrape_interval", "scrape_every")));
}
