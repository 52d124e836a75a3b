//! Starts a service and waits until it is ready.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, bail};

use super::{
    Service, Version,
    certificates::Certificates,
    config::{self, Plan},
    discovery, folders, pids,
    state::{Node, State},
    topology,
};

/// How long a service may take until it is ready.
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// Somebody else may take a port between our look at it and the server's.
const ATTEMPTS: usize = 3;
/// What is shown of the log of a server that failed.
const LINES: usize = 5;

/// What is wanted.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) service: Service,
    pub(super) version: Version,
    /// The program of the servers.
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) certificates: Option<Certificates>,
    /// After how long a silent server counts as gone, for clusters and sentinels.
    pub(super) patience: Duration,
}

/// Starts all servers and returns when they are ready; on an error, none of them is left.
pub(super) fn launch(order: &Order) -> Result<State> {
    for _ in 1..ATTEMPTS {
        match attempt(order) {
            Err(err) if format!("{err:#}").contains("Address already in use") => {}
            result => return result,
        }
    }
    attempt(order)
}

fn attempt(order: &Order) -> Result<State> {
    folders::remove(&order.folder)?;
    fs::create_dir_all(&order.folder).with_context(|| format!("{} cannot be made", order.folder.display()))?;
    let mut state = State {
        service: order.service,
        version: order.version,
        url: String::new(),
        nodes: Vec::new(),
        certificates: order.certificates.clone(),
    };
    let result = bring_up(order, &mut state);
    if let Err(err) = result {
        // What was said goes with the folder.
        let err = with_log(err, &state);
        state.end()?;
        folders::remove(&order.folder)?;
        return Err(err);
    }
    Ok(state)
}

fn bring_up(order: &Order, state: &mut State) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let stages = topology::plans(order.service, &order.folder, order.certificates.as_ref(), order.patience)?;
    for plans in stages {
        for plan in &plans {
            state.nodes.push(start(&order.program, plan)?);
            // At once: who finds the file can end what it names.
            state.save(&order.folder)?;
        }
        wait(state, deadline, || state.nodes.iter().try_for_each(|node| answers(order.service, node)))?;
        if order.service.is_cluster() {
            topology::form(&state.nodes, |step| wait(state, deadline, step))?;
        }
        wait(state, deadline, || topology::check(state))?;
    }
    state.url = topology::url(state);
    state.save(&order.folder)
}

/// Tries until it succeeds, the time is over, or a server is gone.
fn wait(state: &State, deadline: Instant, mut step: impl FnMut() -> Result<()>) -> Result<()> {
    loop {
        let Err(lacking) = step() else { return Ok(()) };
        if let Some(gone) = state.nodes.iter().find(|node| !node.is_running()) {
            bail!("{} has ended", gone.name);
        }
        if Instant::now() >= deadline {
            return Err(lacking.context(format!("not ready after {} s", LIMIT.as_secs())));
        }
        thread::sleep(POLL);
    }
}

fn answers(service: Service, node: &Node) -> Result<()> {
    if service.is_redis() { node.connect()?.call(&["PING"]).map(drop) } else { discovery::answers(node.port) }
}

/// Writes the configuration of a server, and starts it.
fn start(program: &Path, plan: &Plan) -> Result<Node> {
    let folder = &plan.folder;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(config::file(folder), plan.text()))
        .and_then(|()| discovery::files(plan.part).try_for_each(|(name, text)| fs::write(folder.join(name), text)))
        .with_context(|| format!("{} cannot be written", config::file(folder).display()))?;
    let pid = spawn(program, folder, plan.words()).with_context(|| plan.name.clone())?;
    let config::Part::Member { bus, .. } = plan.part else { return Ok(node(plan, pid, None)) };
    Ok(node(plan, pid, Some(bus)))
}

fn node(plan: &Plan, pid: u32, bus: Option<u16>) -> Node {
    Node {
        name: plan.name.clone(),
        pid,
        folder: plan.folder.clone(),
        port: plan.port,
        client_port: plan.client_port(),
        bus,
        sentinel: plan.is_sentinel(),
    }
}

/// Starts a server over the configuration in its folder; it outlives us.
pub(super) fn spawn(program: &Path, folder: &Path, (before, after): (&[&str], &[&str])) -> Result<u32> {
    let log = config::log(folder);
    let out = OpenOptions::new().create(true).append(true).open(&log)?;
    let mut command = Command::new(program);
    command.args(before).arg(config::file(folder)).args(after);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    apart(&mut command);
    let mut child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
    pids::await_words(&mut child, &config::file(folder))?;
    let pid = child.id();
    // Buries it, should it end before us.
    thread::spawn(move || child.wait());
    Ok(pid)
}

/// A Ctrl-C at the terminal is for us, and not for the servers.
#[cfg(unix)]
pub(super) fn apart(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;

    command.process_group(0);
}

#[cfg(not(unix))]
pub(super) fn apart(_: &mut Command) {}

/// Adds what the servers that have ended said last, else what all did.
fn with_log(err: Error, state: &State) -> Error {
    let gone: Vec<_> = state.nodes.iter().filter(|node| !node.is_running()).collect();
    let told = if gone.is_empty() { state.nodes.iter().collect() } else { gone };
    let logs: String = told.into_iter().map(|node| format!("\n     {}: {}", node.name, last_lines(node))).collect();
    err.context(format!("{} could not be brought up{logs}", state.service.name()))
}

fn last_lines(node: &Node) -> String {
    let text = fs::read_to_string(config::log(&node.folder)).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n          ")
}

#[cfg(test)]
mod tests {
    use super::{super::folders::Temporary, *};

    fn order(folder: &Path, program: &str) -> Order {
        Order {
            service: Service::Redis,
            version: Version::Redis7,
            program: PathBuf::from(program),
            folder: folder.join("redis"),
            certificates: None,
            patience: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let folder = Temporary::new("launch-absent");
        let err = format!("{:#}", launch(&order(folder.path(), "/memstache-no-such-program")).unwrap_err());
        assert!(err.contains("/memstache-no-such-program") && err.contains("redis could not be brought up"), "{err}");
    }

    #[cfg(unix)]
    #[test]
    fn a_server_that_ends_is_said_with_its_last_words() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = Temporary::new("launch-ends");
        let program = folder.path().join("server");
        fs::write(&program, "#!/bin/sh\necho 'a bad day'\nexit 1\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let order = order(folder.path(), &program.display().to_string());
        let err = format!("{:#}", launch(&order).unwrap_err());
        assert!(err.contains("a bad day") && err.contains("server-1 has ended"), "{err}");
        assert!(!order.folder.exists(), "nothing is left");
    }
}
