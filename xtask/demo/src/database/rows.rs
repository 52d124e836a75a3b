//! The statements.

use rusqlite::{
    Connection, OptionalExtension as _, Row, TransactionBehavior, named_params, params,
    types::{FromSqlError, Type},
};

use crate::{
    catalogue::{Category, Draft, Line, Product, Sort},
    place::{Place, Shop},
};

const PRODUCT: &str = "SELECT id, name, description, category, tags, price_cents, stock, updated_at
    FROM products WHERE shop = ?1 AND id = ?2";

const UPDATE: &str = "UPDATE products SET name = :name, description = :description, category = :category,
    tags = :tags, price_cents = :price, stock = :stock, updated_at = :now WHERE shop = :shop AND id = :id";

const REPRICE: &str = "UPDATE products SET updated_at = ?4,
    price_cents = min(100000000, max(1, price_cents + price_cents * ?3 / 100))
    WHERE shop = ?1 AND category = ?2";

/// Lines of a list.
const LINES: u32 = 20;

/// What a write brought about.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) product: Product,
    /// Where the product was listed before.
    pub(crate) left: Category,
}

pub(super) fn product(connection: &Connection, place: Place) -> rusqlite::Result<Option<Product>> {
    connection.prepare_cached(PRODUCT)?.query_row(params![place.shop.0, place.id], from_row).optional()
}

pub(super) fn list(connection: &Connection, shop: Shop, category: Category, sort: Sort) -> rusqlite::Result<Vec<Line>> {
    let order = match sort {
        Sort::Newest => "updated_at DESC",
        Sort::Price => "price_cents",
        Sort::Name => "name",
    };
    let query = format!(
        "SELECT id, name, price_cents, stock FROM products WHERE shop = ?1 AND category = ?2
        ORDER BY {order}, id LIMIT {LINES}"
    );
    let line =
        |row: &Row<'_>| Ok(Line { id: row.get(0)?, name: row.get(1)?, price_cents: row.get(2)?, stock: row.get(3)? });
    connection.prepare_cached(&query)?.query_map(params![shop.0, category.name()], line)?.collect()
}

pub(super) fn update(
    connection: &mut Connection,
    place: Place,
    draft: Draft,
    now: i64,
) -> rusqlite::Result<Option<Written>> {
    // Takes the write lock at once: one that is taken after a read may be refused.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let Some(old) = product(&transaction, place)? else { return Ok(None) };
    transaction.prepare_cached(UPDATE)?.execute(named_params! {
        ":name": draft.name,
        ":description": draft.description,
        ":category": draft.category.name(),
        ":tags": tags_to_text(&draft.tags),
        ":price": draft.price_cents,
        ":stock": draft.stock,
        ":now": now,
        ":shop": place.shop.0,
        ":id": place.id,
    })?;
    transaction.commit()?;
    Ok(Some(Written { product: Product { id: place.id, draft, updated_at: now }, left: old.draft.category }))
}

pub(super) fn reprice(
    connection: &Connection,
    shop: Shop,
    category: Category,
    percent: i32,
    now: i64,
) -> rusqlite::Result<usize> {
    connection.prepare_cached(REPRICE)?.execute(params![shop.0, category.name(), percent, now])
}

pub(super) fn ping(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("SELECT 1 FROM products LIMIT 1", [], |_| Ok(()))
}

/// Takes the write lock and gives it back: fails when the disk or another program is in the way.
pub(super) fn lock(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)?.rollback()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Product> {
    let (category, tags): (String, String) = (row.get(3)?, row.get(4)?);
    let draft = Draft {
        name: row.get(1)?,
        description: row.get(2)?,
        category: Category::parse(&category).ok_or_else(|| foreign(3))?,
        tags: serde_json::from_str(&tags).map_err(|_| foreign(4))?,
        price_cents: row.get(5)?,
        stock: row.get(6)?,
    };
    Ok(Product { id: row.get(0)?, draft, updated_at: row.get(7)? })
}

/// Something in the file that the demo did not write.
fn foreign(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(FromSqlError::InvalidType))
}

fn tags_to_text(tags: &[String]) -> String {
    serde_json::Value::from(tags).to_string()
}
