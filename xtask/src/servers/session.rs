//! Servers for the time of a run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{
    Service, Version,
    certificates::Certificates,
    folders::{self, Home},
    keeper::Keeper,
    launch::{self, Order},
    state::State,
};
use crate::{steps::Steps, workspace::Workspace};

/// After how long a silent server counts as gone: tests on a busy machine shall not lose a primary that merely had to wait.
const PATIENCE: Duration = Duration::from_secs(3);

/// Servers that are ended when this is: also if the process is killed.
#[derive(Debug)]
pub(crate) struct Session {
    keeper: Keeper,
    services: Vec<State>,
}

impl Session {
    /// Has every service: uses what `up` left up of this version, and starts the rest.
    pub(crate) fn start(ws: &Workspace, steps: &mut Steps, version: Version) -> Result<Self> {
        let home = Home::of(ws);
        let lock = home.lock()?;
        home.reap(&lock)?;
        let certificates = Certificates::at(&home.certificates())?;
        drop(lock);
        let wanted: Vec<_> =
            Service::REDIS.into_iter().map(|service| (service, version_for(service, version))).collect();
        let already: Vec<_> = wanted.iter().filter_map(|&(service, version)| is_up(&home, service, version)).collect();
        let missing = wanted.into_iter().filter(|(service, _)| !already.iter().any(|state| state.service == *service));
        let orders = orders(ws, steps, &home.run(), missing.collect(), &certificates, PATIENCE)?;
        let keeper = Keeper::of(&orders)?;
        let session = Self { keeper, services: already };
        match launch_each(&orders).into_iter().collect::<Result<Vec<_>>>() {
            Ok(services) => Ok(Self { services: [session.services, services].concat(), ..session }),
            Err(err) => {
                session.end()?;
                Err(err)
            }
        }
    }

    /// By which environment variables tests find them.
    pub(crate) fn variables(&self) -> BTreeMap<&'static str, String> {
        self.services.iter().flat_map(State::variables).collect()
    }

    /// Ends what was started.
    pub(crate) fn end(self) -> Result<()> {
        self.keeper.end()
    }
}

/// One service, for a run that mistreats it; ended when this is, also if the process is killed.
#[derive(Debug)]
pub(crate) struct One {
    keeper: Keeper,
    pub(crate) state: State,
    /// To start a server anew.
    pub(crate) program: PathBuf,
}

impl One {
    pub(crate) fn start(
        ws: &Workspace,
        steps: &mut Steps,
        (service, version): (Service, Version),
        patience: Duration,
    ) -> Result<Self> {
        let home = Home::of(ws);
        let lock = home.lock()?;
        home.reap(&lock)?;
        let certificates = Certificates::at(&home.certificates())?;
        drop(lock);
        let orders = orders(ws, steps, &home.run(), vec![(service, version)], &certificates, patience)?;
        let keeper = Keeper::of(&orders)?;
        let order = orders.into_iter().next().context("one was ordered")?;
        match launch::launch(&order) {
            Ok(state) => Ok(Self { keeper, state, program: order.program }),
            Err(err) => {
                keeper.end()?;
                Err(err)
            }
        }
    }

    pub(crate) fn end(self) -> Result<()> {
        self.keeper.end()
    }
}

/// What is up of this kind, if it is well.
pub(super) fn is_up(home: &Home, service: Service, version: Version) -> Option<State> {
    State::load(&folders::of_service(&home.up(), service, version)).filter(State::is_up)
}

/// Services with TLS need a server that has it.
fn version_for(service: Service, version: Version) -> Version {
    if service.has_tls() && !version.has_tls() { Version::Redis7 } else { version }
}

/// What to start, each in a folder of its own; installs the programs.
pub(super) fn orders(
    ws: &Workspace,
    steps: &mut Steps,
    among: &Path,
    services: Vec<(Service, Version)>,
    certificates: &Certificates,
    patience: Duration,
) -> Result<Vec<Order>> {
    if let Some((service, version)) = services.iter().find(|(service, version)| service.has_tls() && !version.has_tls())
    {
        bail!("{} was built without TLS: {} needs {}", version.name(), service.name(), Version::Redis7.name());
    }
    if let Some((service, version)) = services.iter().find(|(service, version)| !version.serves(*service)) {
        bail!("{} is no server for {}", version.name(), service.name());
    }
    let mut programs = Vec::new();
    for version in Version::ALL {
        if services.iter().any(|(_, wanted)| *wanted == version) {
            programs.push((version, version.program(ws, steps)?));
        }
    }
    let order = |(service, version): (Service, Version)| {
        let found = programs.iter().find(|(of, _)| *of == version);
        let (_, program) = found.context("the program of each version was looked for")?;
        Ok(Order {
            service,
            version,
            program: program.clone(),
            folder: folders::of_service(among, service, version),
            certificates: service.has_tls().then(|| certificates.clone()),
            patience,
        })
    };
    services.into_iter().map(order).collect()
}

/// Starts all at once.
pub(super) fn launch_each(orders: &[Order]) -> Vec<Result<State>> {
    thread::scope(|scope| {
        let starting: Vec<_> = orders.iter().map(|order| scope.spawn(|| launch::launch(order))).collect();
        starting.into_iter().map(|thread| thread.join().expect("launching does not panic")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_comes_from_the_server_that_has_it() {
        assert_eq!(version_for(Service::ClusterTls, Version::Valkey9), Version::Redis7);
        assert_eq!(version_for(Service::Cluster, Version::Valkey9), Version::Valkey9);
        assert_eq!(version_for(Service::RedisTls, Version::Redis7), Version::Redis7);
    }
}
