//! The emulator of Azure Key Vault as a program: `keyvault-emulator --help`.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks there")]

use std::{error::Error, fs, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use memstache_crypto::emulator::{Emulator, Faults};

/// Emulates Azure Key Vault (secrets and keys) for development. Never put anything of value into it.
#[derive(Debug, Parser)]
#[command(name = "keyvault-emulator", version)]
struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:5000")]
    address: SocketAddr,
    /// Allow an address that other machines can reach: whoever reaches it reads everything
    #[arg(long)]
    allow_remote: bool,
    /// Speak TLS, with a new self-signed certificate that is written to this file as PEM
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Let in only the bearer token in this environment variable, instead of any token
    #[arg(long, value_name = "VARIABLE")]
    token_env: Option<String>,
    /// Keep the vault in this file (mode 0600, private keys unencrypted), instead of in memory
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Most versions of secrets and keys together
    #[arg(long, default_value_t = 10_000)]
    max_versions: usize,
    /// Hold back every answer this many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency: u64,
    /// Answer this share of the calls with 500, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    fail_rate: f64,
    /// Answer calls beyond this number in a second with 429 and Retry-After
    #[arg(long, value_name = "CALLS")]
    throttle: Option<u32>,
    /// Answer every call that has a token with 403
    #[arg(long)]
    forbidden: bool,
    /// Set the vault's clock ahead by this many seconds; negative for behind
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    clock_skew: i64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let mut builder = Emulator::builder().address(args.address).max_versions(args.max_versions).faults(faults(&args)?);
    if args.allow_remote {
        builder = builder.allow_remote();
    }
    if let Some(variable) = &args.token_env {
        let token = std::env::var(variable).map_err(|_| format!("the environment variable {variable} is not set"))?;
        builder = builder.token(token);
    }
    if let Some(path) = &args.state {
        builder = builder.state_file(path);
    }
    if args.tls.is_some() {
        builder = builder.tls();
    }
    let emulator = builder.start().await?;
    if let Some((path, pem)) = args.tls.as_ref().zip(emulator.certificate_pem()) {
        fs::write(path, pem)
            .map_err(|error| format!("the certificate cannot be written to {}: {error}", path.display()))?;
    }
    let ended = ended()?;
    // Whoever reads this may use it, and end it, at once.
    println!("{}", emulator.base_url());
    ended.await;
    emulator.shutdown().await;
    Ok(())
}

fn faults(args: &Args) -> memstache_core::Result<Faults> {
    let faults = Faults::default()
        .with_latency(Duration::from_millis(args.latency))?
        .with_fail_rate(args.fail_rate)?
        .with_clock_skew(args.clock_skew)?;
    let faults = args.throttle.map_or(faults, |calls| faults.with_throttle(calls));
    Ok(if args.forbidden { faults.with_forbidden() } else { faults })
}

/// Listens for the first wish to end: from this call on, and not only once the future is polled.
#[cfg(unix)]
fn ended() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn ended() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a listener there is no telling, so it goes on.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_on_this_machine_alone_unless_it_is_told_otherwise() {
        let args = Args::try_parse_from(["keyvault-emulator"]).expect("every switch has a default");
        assert_eq!(args.address, SocketAddr::from(([127, 0, 0, 1], 5000)));
        assert!(!args.allow_remote && !args.forbidden);
        assert_eq!((args.tls, args.token_env, args.state, args.throttle), (None, None, None, None));
        assert_eq!((args.latency, args.fail_rate, args.clock_skew, args.max_versions), (0, 0.0, 0, 10_000));
    }
}
