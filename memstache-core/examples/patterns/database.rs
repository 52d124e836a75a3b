//! A database: products in SQLite, with counts of what it was asked, and ways to break it.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use tokio::{sync::RwLock, task::spawn_blocking};

/// What is sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) cents: i64,
}

impl Product {
    pub(crate) fn new(id: impl Into<String>, cents: i64) -> Self {
        Self { id: id.into(), cents }
    }
}

/// A handle on the database; clones share it.
#[derive(Clone)]
pub(crate) struct Database(Arc<Inner>);

struct Inner {
    connection: Mutex<Connection>,
    reads: AtomicUsize,
    transactions: AtomicUsize,
    broken: AtomicBool,
    /// Held by who lets everybody wait.
    held: Arc<RwLock<()>>,
}

impl Database {
    pub(crate) fn in_memory() -> Result<Self, DatabaseError> {
        let connection = Connection::open_in_memory()?;
        connection.execute("CREATE TABLE products (id TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT", [])?;
        Ok(Self(Arc::new(Inner {
            connection: Mutex::new(connection),
            reads: AtomicUsize::new(0),
            transactions: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            held: Arc::default(),
        })))
    }

    /// Reads a product.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Product>, DatabaseError> {
        self.0.reads.fetch_add(1, SeqCst);
        let id = id.to_owned();
        self.run(move |connection| {
            let cents = connection.query_row("SELECT cents FROM products WHERE id = ?", [&id], |row| row.get(0));
            Ok(cents.optional()?.map(|cents| Product { id, cents }))
        })
        .await
    }

    /// Reads the dearest products.
    pub(crate) async fn dearest(&self, count: usize) -> Result<Vec<Product>, DatabaseError> {
        self.0.reads.fetch_add(1, SeqCst);
        self.run(move |connection| {
            let mut query = connection.prepare("SELECT id, cents FROM products ORDER BY cents DESC LIMIT ?")?;
            let rows = query.query_map([count as i64], |row| Ok(Product { id: row.get(0)?, cents: row.get(1)? }))?;
            rows.collect()
        })
        .await
    }

    /// Writes products in one transaction: all or none.
    pub(crate) async fn save(&self, products: Vec<Product>) -> Result<(), DatabaseError> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            for Product { id, cents } in &products {
                let upsert = "INSERT INTO products VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET cents = excluded.cents";
                transaction.execute(upsert, params![id, cents])?;
            }
            transaction.commit()
        })
        .await?;
        self.0.transactions.fetch_add(1, SeqCst);
        Ok(())
    }

    /// Runs work off the async threads. Work that has begun is done, also when the future is dropped.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let _held = self.0.held.read().await;
        if self.0.broken.load(SeqCst) {
            return Err(DatabaseError("the database is gone".to_owned()));
        }
        let inner = Arc::clone(&self.0);
        let done = spawn_blocking(move || {
            let mut connection = inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        });
        Ok(done.await.map_err(|_| DatabaseError("the work was cut off".to_owned()))??)
    }

    /// Returns how often it was read.
    pub(crate) fn reads(&self) -> usize {
        self.0.reads.load(SeqCst)
    }

    /// Returns how many transactions were committed.
    pub(crate) fn transactions(&self) -> usize {
        self.0.transactions.load(SeqCst)
    }
}

#[cfg(test)]
impl Database {
    /// Lets everything fail from now on, or not.
    pub(crate) fn break_down(&self, broken: bool) {
        self.0.broken.store(broken, SeqCst);
    }

    /// Lets everybody wait until the guard is dropped.
    pub(crate) async fn hold(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.0.held).write_owned().await
    }
}

/// What the database fails with.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseError(String);

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for DatabaseError {}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}
