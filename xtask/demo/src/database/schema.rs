//! Making the file: tables, products, and whose file it is.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use rusqlite::{Connection, OpenFlags, params};

use super::now;
use crate::{catalogue::made_up, shutdown::Shutdown};

/// SQLite's mark for whose file it is: "mstd".
const MINE: i32 = 0x6d73_7464;

const TABLES: &str = "
    CREATE TABLE products (
        shop INTEGER NOT NULL,
        id INTEGER NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        category TEXT NOT NULL,
        tags TEXT NOT NULL,
        price_cents INTEGER NOT NULL,
        stock INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (shop, id)
    ) WITHOUT ROWID;
    CREATE TABLE made (shops INTEGER NOT NULL, products INTEGER NOT NULL, seed TEXT NOT NULL);
";

/// After the rows: building it once is cheaper than keeping it right row by row.
const INDEX: &str = "CREATE INDEX products_by_category ON products (shop, category);";

const INSERT: &str = "INSERT INTO products VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// Rows between two looks at the progress bar and at the wish to end.
const STRIDE: u32 = 1000;

/// What a database of the demo was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) shops: u16,
    /// Of each shop.
    pub(crate) products: u32,
    pub(crate) seed: u64,
}

/// Opens the file for writing; a new one is filled, one that holds something else is refused.
pub(super) fn prepare(path: &Path, size: Size, bar: &ProgressBar, shutdown: &Shutdown) -> Result<Connection> {
    let about = || format!("the database {} cannot be used", path.display());
    let mut connection = Connection::open(path).with_context(about)?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).with_context(about)?;
    if tables == 0 {
        connection.pragma_update(None, "journal_mode", "WAL").with_context(about)?;
        fill(&mut connection, size, bar, shutdown).with_context(about)?;
    } else {
        recognize(&connection, size).with_context(about)?;
    }
    // With a write-ahead log a power cut may lose the last writes, but never the file.
    connection.pragma_update(None, "synchronous", "NORMAL").with_context(about)?;
    Ok(connection)
}

/// Opens the file for reading only.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// In one transaction: a file that was not finished holds nothing.
fn fill(connection: &mut Connection, size: Size, bar: &ProgressBar, shutdown: &Shutdown) -> Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    let (mut rng, now) = (fastrand::Rng::with_seed(size.seed), now());
    let mut insert = transaction.prepare(INSERT)?;
    for shop in 1..=size.shops {
        for id in 1..=size.products {
            let product = made_up(id, now, &mut rng);
            let (draft, tags) = (&product.draft, serde_json::to_string(&product.draft.tags)?);
            insert.execute(params![
                shop,
                id,
                draft.name,
                draft.description,
                draft.category.name(),
                tags,
                draft.price_cents,
                draft.stock,
                product.updated_at,
            ])?;
            if id % STRIDE == 0 {
                bar.inc(u64::from(STRIDE));
                if shutdown.is_wished() {
                    bail!("it was not filled, because the program shall end");
                }
            }
        }
    }
    drop(insert);
    transaction.execute_batch(INDEX)?;
    transaction
        .execute("INSERT INTO made VALUES (?1, ?2, ?3)", params![size.shops, size.products, size.seed.to_string()])?;
    transaction.pragma_update(None, "application_id", MINE)?;
    Ok(transaction.commit()?)
}

/// Makes sure that the file is one of the demo's, made from the same numbers.
fn recognize(connection: &Connection, size: Size) -> Result<()> {
    let mark: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if mark != MINE {
        bail!("it was not made by the demo; name another file");
    }
    let made = connection.query_row("SELECT shops, products, seed FROM made", [], |row| {
        Ok((row.get::<_, u16>(0)?, row.get::<_, u32>(1)?, row.get::<_, String>(2)?))
    })?;
    if made != (size.shops, size.products, size.seed.to_string()) {
        let (shops, products, seed) = made;
        bail!(
            "it was made with --shops {shops} --products {products} --seed {seed}; use the same or name another file"
        );
    }
    Ok(())
}
