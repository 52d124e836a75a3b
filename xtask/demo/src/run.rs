//! The demo from its first line to its last.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use indicatif::HumanCount;
use memstache_tenancy::Tenants;
use tokio::task::spawn_blocking;

use crate::{
    args::Args,
    cache::{Caches, JITTER, Lives},
    chaos,
    check::{Checked, Evidence, Side, lifetimes},
    cluster,
    database::{Database, Route, Size},
    held::held,
    keys::Keys,
    load::{self, Demand, Limits, Load},
    place::Place,
    plans, report,
    screen::{bar, say},
    service::App,
    shutdown::Shutdown,
    store::Kept,
    temporary::Temporary,
};

/// How a run ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Done,
    /// Before there were results.
    Interrupted,
}

/// Runs the demo, on a runtime of its own.
pub(crate) fn run(args: &Args) -> Result<Ended> {
    // Dropped last, after the runtime, whose threads may have files in it open.
    let mut temporary = None;
    let file = match &args.db {
        Some(file) => file.clone(),
        None => {
            let folder = Temporary::new().context("no temporary folder could be made")?;
            temporary.insert(folder).path().join("products.db")
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(demo(args, &file))
}

/// Makes the database, starts the service, puts it under load, shows the results and waits for its end.
async fn demo(args: &Args, file: &Path) -> Result<Ended> {
    let shutdown = Shutdown::listen()?;
    let size = Size { shops: args.shops, products: args.products, seed: args.seed };
    let Some(database) = open(args, file, size, &shutdown).await? else { return Ok(Ended::Interrupted) };
    if let Some(nodes) = args.cluster {
        return in_cluster(args, usize::from(nodes), file, size, &shutdown).await;
    }
    let lives = if args.chaos { chaos::lives(args.seconds) } else { Lives::of(args.ttl()) };
    let tenants = Tenants::new(plans::unmetered(size)?);
    let store = match &args.redis {
        Some(url) => Kept::in_redis(url).await?,
        None => Kept::in_memory(size, &tenants)?,
    };
    let caches = Caches::new(store, tenants, Keys::new().await?, lives)?;
    let app = Arc::new(App::new(database, caches)?.with_chaos(args.chaos));
    let running = Arc::clone(&app).start(args.port, shutdown.clone()).await?;
    let demand = Arc::new(Demand::new(size, args.zipf));
    let time = Duration::from_secs(args.seconds);
    let load = Load { address: running.address, demand, clients: args.clients, time };

    let tried = tokio::select! {
        // The wish first: the service ends by it too, and what the load makes of that is no fault.
        biased;
        () = shutdown.wished() => None,
        tried = show(args, &app, &load) => match tried {
            // The wish may come between the two questions of one poll.
            Err(_) if shutdown.is_wished() => None,
            tried => Some(tried?),
        },
    };
    let ended = match tried {
        Some(()) => {
            if !args.exit {
                say(report::try_it(running.address, args.quiet))?;
                shutdown.wished().await;
            }
            Ended::Done
        }
        None => Ended::Interrupted,
    };
    shutdown.wish();
    running.ended().await?;
    Ok(ended)
}

/// Shows a cluster of so many nodes, each with the database open, and waits for the end.
async fn in_cluster(args: &Args, nodes: usize, file: &Path, size: Size, shutdown: &Shutdown) -> Result<Ended> {
    let fleet = tokio::select! {
        // The wish first: a signal from the keyboard ends the nodes, too, and what comes of that is no fault.
        biased;
        () = shutdown.wished() => return Ok(Ended::Interrupted),
        shown = cluster::run(args, nodes, file, size) => match shown {
            Err(_) if shutdown.is_wished() => return Ok(Ended::Interrupted),
            shown => shown?,
        },
    };
    if !args.exit {
        say(cluster::try_it(&fleet, args.quiet)?)?;
        shutdown.wished().await;
    }
    Ok(Ended::Done)
}

/// Opens the database; `None` if the program shall end before that.
async fn open(args: &Args, file: &Path, size: Size, shutdown: &Shutdown) -> Result<Option<Database>> {
    let all = u64::from(size.shops) * u64::from(size.products);
    let (bar, started) = (bar(args.quiet, all, "Making up products"), Instant::now());
    let (file, wish) = (file.to_owned(), shutdown.clone());
    let opened = spawn_blocking(move || {
        let database = Database::open(&file, size, &bar, &wish);
        bar.finish_and_clear();
        database
    });
    let opened = opened.await.context("the database could not be opened")?;
    if shutdown.is_wished() {
        return Ok(None);
    }
    let database = opened?.with_distance(Duration::from_millis(args.distance));
    if !args.quiet {
        let (all, seconds) = (HumanCount(all), started.elapsed().as_secs_f64());
        let away = if args.distance > 0 { format!(", {} ms away (--distance)", args.distance) } else { String::new() };
        say(format_args!("{all} products of {} shops are in SQLite after {seconds:.1} s{away}.", size.shops))?;
    }
    Ok(Some(database))
}

/// Shows what the cache does; an error if it does not do what it promises.
async fn show(args: &Args, app: &App, load: &Load) -> Result<()> {
    if args.chaos {
        return chaos::run(app, load, args.seconds, args.zipf).await;
    }
    judge(&drive(args, app, load).await?)
}

/// Puts the service under load both ways, then tries what the cache promises.
async fn drive(args: &Args, app: &App, load: &Load) -> Result<Evidence> {
    let ledger = app.database.ledger();
    let length = args.seconds * 1000;
    let progress = bar(args.quiet, length, "Asking past the cache");
    let measured = load.run(Route::Uncached, &progress).await?;
    progress.finish_and_clear();
    let asked = measured.asked.len() as u64;
    let uncached = Side { measured, queries: ledger.queries(Route::Uncached), asked };

    let (progress, started) = (bar(args.quiet, length, "Asking through the cache"), Instant::now());
    let (measured, writes) = tokio::try_join!(load.run(Route::Cached, &progress), load::write(load))?;
    progress.finish_and_clear();
    let lifetimes = lifetimes(started.elapsed(), args.ttl(), JITTER);
    let asked = measured.asked.union(&writes.asked).count() as u64;
    let cached = Side { measured, queries: ledger.queries(Route::Cached), asked };

    let loads = |place: Place| ledger.of(Route::Cached, place);
    let seen = load::stampede(load, load.demand.reserved(0)).await?;
    let stampede = Checked { loads: loads(seen.place), seen };
    let seen = load::invalidate(load, load.demand.reserved(1)).await?;
    let invalidation = Checked { loads: loads(seen.place), seen };
    let seen = load::unknown(load).await?;
    let unknown = Checked { loads: loads(seen.place), seen };

    let held = held(&app.caches).await?;

    // The shops share what there is from here on; until now it was measured how much that is.
    let size = app.database.size();
    let limits = Limits { tenants: &app.caches.tenants, plans: plans::standard(size)?, none: plans::unmetered(size)? };
    let progress = bar(args.quiet, length, "Asking beside a noisy shop");
    let each = Duration::from_secs(args.seconds.div_ceil(2));
    let neighbours = load::neighbours(load, size.shops, each, limits).await?;
    progress.finish_and_clear();
    Ok(Evidence { uncached, cached, lifetimes, writes, stampede, invalidation, unknown, held, neighbours })
}

/// Shows what was seen; an error if it is not what was promised.
fn judge(evidence: &Evidence) -> Result<()> {
    say(report::table(evidence))?;
    say(report::checks(evidence))?;
    let faults = evidence.faults();
    if faults.is_empty() {
        return Ok(());
    }
    bail!("the cache did not keep its promises:\n  {}", faults.join("\n  "));
}
