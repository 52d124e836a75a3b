//! Which pods or slices, and by which account.

use std::{path::PathBuf, sync::Arc};

use memstache_core::{Error, Result};

use super::{Clients, KubernetesDiscovery, Port};
use crate::problems::Problems;

/// The longest label selector, in bytes.
const MAX_SELECTOR: usize = 1024;
/// The longest name of a service or namespace (RFC 1123), in bytes.
const MAX_LABEL: usize = 63;
/// The longest name of a port (RFC 6335), in bytes.
const MAX_PORT: usize = 15;

/// Gathers what [`KubernetesDiscovery`] needs.
///
/// Nothing is checked before [`build`](Self::build), and no file is read before the first call.
#[derive(Clone, Debug)]
#[must_use = "nothing is asked before `build`"]
pub struct KubernetesDiscoveryBuilder {
    settings: Settings,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) source: Source,
    pub(super) namespace: Option<String>,
    pub(super) port: Port,
}

/// What is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Pods with these labels.
    Pods(String),
    /// Endpoint slices of this service.
    Service(String),
}

impl Settings {
    /// The selector of what is listed.
    pub(super) fn selector(&self) -> String {
        match &self.source {
            Source::Pods(labels) => labels.clone(),
            Source::Service(name) => format!("kubernetes.io/service-name={name}"),
        }
    }
}

impl KubernetesDiscoveryBuilder {
    pub(super) fn new(source: Source) -> Self {
        let settings = Settings { source, namespace: None, port: Port::Name("gossip".to_owned()) };
        Self { settings, kubeconfig: None, context: None }
    }

    /// Sets the namespace. Default: that of the pod, or of the kubeconfig's context.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.settings.namespace = Some(namespace.into());
        self
    }

    /// Sets the name of the port at which nodes gossip, among those of a pod's containers or of a service's endpoints. Default:
    /// `gossip`.
    pub fn port_name(mut self, name: impl Into<String>) -> Self {
        self.settings.port = Port::Name(name.into());
        self
    }

    /// Sets the port at which nodes gossip, whatever ports they name.
    pub fn port(mut self, port: u16) -> Self {
        self.settings.port = Port::Number(port);
        self
    }

    /// Takes a kubeconfig, and this context of it or else its current one. Default: the pod's service account, or outside of a
    /// pod the kubeconfig of `KUBECONFIG` or `~/.kube/config`.
    pub fn kubeconfig(mut self, file: impl Into<PathBuf>, context: Option<String>) -> Self {
        (self.kubeconfig, self.context) = (Some(file.into()), context);
        self
    }

    /// Builds the provider. Error: `Invalid`, which names everything that is wrong.
    pub fn build(self) -> Result<KubernetesDiscovery> {
        let Self { settings, kubeconfig, context } = self;
        let mut problems = Problems::default();
        match &settings.source {
            Source::Pods(labels) => {
                let sound = !labels.trim().is_empty() && labels.len() <= MAX_SELECTOR && labels.is_ascii();
                let limit = format_args!("a label selector of 1 to {MAX_SELECTOR} bytes");
                // Without labels, every pod of the namespace would be asked.
                problems.require(sound, || Error::invalid("labels", limit, format_args!("{} bytes", labels.len())));
            }
            Source::Service(name) => label(&mut problems, "service", name, MAX_LABEL),
        }
        if let Some(namespace) = &settings.namespace {
            label(&mut problems, "namespace", namespace, MAX_LABEL);
        }
        match &settings.port {
            Port::Name(name) => label(&mut problems, "port_name", name, MAX_PORT),
            Port::Number(port) => problems.require(*port != 0, || Error::invalid("port", "1 to 65535", 0)),
        }
        problems.finish()?;
        Ok(KubernetesDiscovery { settings: Arc::new(settings), clients: Clients::new(kubeconfig, context) })
    }
}

/// Checks a name of lower-case letters, digits and dashes.
fn label(problems: &mut Problems, field: &str, given: &str, most: usize) {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let sound = (1..=most).contains(&given.len())
        && given.bytes().all(inner)
        && !given.starts_with('-')
        && !given.ends_with('-');
    let limit = format_args!("1 to {most} lower-case letters, digits and dashes between them");
    problems
        .require(sound, || Error::invalid(field, limit, format_args!("one of {} bytes that is not so", given.len())));
}

#[cfg(test)]
mod tests {
    use memstache_core::ErrorKind;

    use super::*;

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let error =
            KubernetesDiscovery::service("-a").namespace("A").port_name("a-name-that-is-too-long").build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = error.to_string();
        for part in [
            "service must be 1 to 63 lower-case letters, digits and dashes between them, but one of 2 bytes that is not so",
            "namespace must be 1 to 63",
            "port_name must be 1 to 15",
        ] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        let error = KubernetesDiscovery::pods(" ").port(0).build().unwrap_err().to_string();
        assert_eq!(
            error,
            "labels must be a label selector of 1 to 1024 bytes, but 1 bytes was given; port must be 1 to 65535, but 0 was given"
        );
    }

    #[test]
    fn a_service_is_known_by_the_label_of_its_slices() {
        let built = KubernetesDiscovery::service("cache").build().unwrap();
        assert_eq!(built.settings.selector(), "kubernetes.io/service-name=cache");
        let pods = KubernetesDiscovery::pods("app=cache").build().unwrap();
        assert_eq!(pods.settings.selector(), "app=cache");
    }
}
