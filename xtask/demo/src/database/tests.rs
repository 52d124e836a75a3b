use super::*;
use crate::temporary::Temporary;

const SIZE: Size = Size { shops: 2, products: 50, seed: 3 };

fn open(folder: &Temporary, size: Size) -> Result<Database> {
    Database::open(&folder.path().join("x.db"), size, &ProgressBar::hidden(), &Shutdown::new())
}

fn place(id: u32) -> Place {
    Place { shop: Shop(2), id }
}

#[tokio::test]
async fn what_is_written_is_read() {
    let folder = Temporary::new().unwrap();
    let database = open(&folder, SIZE).unwrap();
    let old = database.product(place(7), Route::Uncached).await.unwrap().unwrap();
    assert_eq!(database.product(place(51), Route::Uncached).await.unwrap(), None);
    database.ping().await.unwrap();

    let draft = Draft { category: Category::parse("tea").unwrap(), price_cents: 123, ..old.draft.clone() };
    let written = database.update(place(7), draft).await.unwrap().unwrap();
    assert_eq!(written.left, old.draft.category);
    assert_eq!(database.product(place(7), Route::Cached).await.unwrap(), Some(written.product.clone()));
    assert!(database.update(place(51), written.product.draft.clone()).await.unwrap().is_none());
    let list = database.list(Shop(2), written.product.draft.category, Sort::Newest).await.unwrap();
    assert_eq!((list[0].id, list[0].price_cents), (7, 123));

    assert!(database.reprice(Shop(2), written.product.draft.category, 100).await.unwrap() > 0);
    let dearer = database.product(place(7), Route::Cached).await.unwrap().unwrap();
    assert_eq!(dearer.draft.price_cents, 246);
    assert_eq!(database.ledger().queries(Route::Cached), Queries { total: 2, distinct: 1, most: 2 });
}

#[tokio::test]
async fn a_file_is_used_again_by_the_same_numbers_only() {
    let folder = Temporary::new().unwrap();
    let first = open(&folder, SIZE).unwrap().product(place(1), Route::Cached).await.unwrap();
    assert_eq!(open(&folder, SIZE).unwrap().product(place(1), Route::Cached).await.unwrap(), first);
    let error = format!("{:#}", open(&folder, Size { seed: 4, ..SIZE }).unwrap_err());
    assert!(error.contains("--shops 2 --products 50 --seed 3"), "{error}");
}

#[tokio::test]
async fn a_file_of_somebody_else_is_left_alone() {
    let folder = Temporary::new().unwrap();
    let path = folder.path().join("x.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (x)").unwrap();
    let error = format!("{:#}", open(&folder, SIZE).unwrap_err());
    assert!(error.contains("not made by the demo"), "{error}");
    std::fs::write(&path, "not a database, but long enough to look like one".repeat(20)).unwrap();
    assert!(open(&folder, SIZE).is_err());
}
