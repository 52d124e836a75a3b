//! Work off the async threads, if there are such threads.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use memstache_core::{
    Content, Encoding, ErrorKind, Get, Lookup, OneOrMany, Request, Response, Set, SetItem, Step, Transform, When,
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    common::{address, down, stored, text, up, value},
    kit::{entry, pairs},
};

#[tokio::test]
async fn large_values_are_worked_on_elsewhere() {
    let compress = pairs().offload_above(1_000).build().unwrap();
    let small = compress.request(Request::Set(Set::one(address(None), entry(text(1_000)))));
    assert!(matches!(small, Step::Now(Ok(_))));
    let Step::Wait(wait) = compress.request(Request::Set(Set::one(address(None), entry(text(1_001))))) else {
        panic!()
    };
    let (Request::Set(set), _) = wait.await.unwrap() else { panic!() };
    let packed = set.items.into_one().unwrap().entry;
    assert_eq!((packed.content.plain_len, packed.value.len()), (1_001, 501));

    // A batch counts as a whole, and what fits is done at once.
    let many = (0..5).map(|_| SetItem { address: address(None), entry: entry(text(600)), when: When::Always });
    let set = Set { items: OneOrMany::Many(many.collect()), ..Set::one(address(None), entry("")) };
    let Step::Wait(wait) = compress.request(Request::Set(set)) else { panic!() };
    assert_eq!(compress.stats().compressed, 3);
    let (Request::Set(set), _) = wait.await.unwrap() else { panic!() };
    assert!(set.items.iter().all(|item| item.entry.content.encoding.0 == 131));
    assert_eq!((compress.stats().compressed, compress.stats().offloaded), (7, 2));

    let content = Content { encoding: Encoding(131), plain_len: 2_000, ..Content::default() };
    let Step::Now(Ok((_, asked))) = compress.request(Request::Get(Get::one(address(None)))) else { panic!() };
    let found = OneOrMany::One(Ok(Lookup::Hit(stored(vec![b'x'; 1_000], content))));
    let Step::Wait(wait) = compress.response(asked, Response::Found(found)) else { panic!() };
    let Response::Found(found) = wait.await.unwrap() else { panic!() };
    assert_eq!(value(found.into_one().unwrap()).unwrap(), vec![b'x'; 2_000]);
}

#[tokio::test]
#[should_panic(expected = "on demand")]
async fn a_panic_elsewhere_is_the_callers() {
    let compress = pairs().offload_above(10).build().unwrap();
    let Step::Wait(wait) = compress.request(Request::Set(Set::one(address(None), entry("!".repeat(1_000))))) else {
        panic!("not elsewhere")
    };
    let _ = wait.await;
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future without any runtime.
fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

#[test]
fn without_a_runtime_the_work_is_done_in_place() {
    let compress = pairs().offload_above(10).build().unwrap();
    let packed = down(&compress, &address(None), entry("x".repeat(5_000)));
    assert_eq!((packed.content.plain_len, packed.value.len()), (5_000, 2_500));
    let found = up(&compress, &address(None), stored(packed.value, packed.content));
    assert_eq!(value(found).unwrap(), "x".repeat(5_000));
    let stats = compress.stats();
    assert_eq!((stats.compressed, stats.decompressed, stats.offloaded), (1, 1, 0));
}

#[test]
fn the_runtime_is_that_of_the_call_wherever_it_is_polled() {
    let compress = pairs().offload_above(10).build().unwrap();
    let runtime = runtime();
    let step = {
        let _inside = runtime.enter();
        compress.request(Request::Set(Set::one(address(None), entry("x".repeat(5_000)))))
    };
    let Step::Wait(work) = step else { panic!("not elsewhere") };
    let (Request::Set(set), _) = wait(work).unwrap() else { panic!("another request") };
    assert_eq!(set.items.into_one().unwrap().entry.value.len(), 2_500);
    assert_eq!((compress.stats().compressed, compress.stats().offloaded), (1, 1));
}

#[test]
fn a_runtime_that_has_ended_is_an_error() {
    let compress = pairs().offload_above(10).build().unwrap();
    let runtime = runtime();
    let step = {
        let _inside = runtime.enter();
        compress.request(Request::Set(Set::one(address(None), entry("x".repeat(5_000)))))
    };
    drop(runtime);
    let Step::Wait(work) = step else { panic!("not elsewhere") };
    assert_eq!(wait(work).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(compress.stats().compressed, 0);
}

#[test]
fn a_caller_that_leaves_frees_its_place() {
    let compress = pairs().offload_above(10).build().unwrap();
    let runtime = runtime();
    let _inside = runtime.enter();
    let write = || match compress.request(Request::Set(Set::one(address(None), entry("x".repeat(5_000))))) {
        Step::Wait(work) => work,
        other => panic!("not elsewhere: {other:?}"),
    };
    // More than there are places, begun and left.
    for _ in 0..100 {
        let mut work = pin!(write());
        let _ = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    assert!(wait(write()).is_ok());
}
