//! The vault itself: calls in, answers out, without any network.

use std::{sync::Arc, time::UNIX_EPOCH};

use data_encoding::HEXLOWER;
use memstache_core::Clock;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    MAX_BODY, body,
    failure::Failure,
    keys::{Key, NewKey},
    name::Name,
    operation::Operation,
    plane::{BackupKey, Context, Item, Object, Plane},
    query::Query,
    route::Route,
    rsa::RsaKey,
    secrets::Secret,
    state_file::StateFile,
};
use crate::random::Random;

/// A request without its envelope.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// Scheme, host and port as the client wrote them: the beginning of every id.
    pub(super) base: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
    /// How far the vault's clock is ahead, in seconds.
    pub(super) skew: i64,
}

/// What all of a vault is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    secrets: Plane<Secret>,
    keys: Plane<Key>,
    backup_key: BackupKey,
}

impl State {
    pub(super) fn new(random: &dyn Random) -> memstache_core::Result<Self> {
        let backup_key = BackupKey::random(random)?;
        Ok(Self { secrets: Plane::default(), keys: Plane::default(), backup_key })
    }

    /// Whether what was read from a file can be worked with.
    pub(super) fn is_sound(&self) -> bool {
        self.secrets.is_sound() && self.keys.is_sound()
    }
}

/// Secrets and keys; every call is atomic.
#[derive(Debug)]
pub(super) struct Vault {
    pub(super) state: Mutex<State>,
    pub(super) file: Option<StateFile>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    /// Most versions of secrets and keys together, deleted ones among them.
    pub(super) max_versions: usize,
}

impl Vault {
    /// Answers a call with a body, or nothing where success has none. Blocks while keys are made and used, and while the
    /// file is written.
    pub(super) fn answer(&self, route: Route<'_>, call: &Call<'_>) -> Result<Option<Value>, Failure> {
        let query = Query::parse(call.query)?;
        let at = Context { now: self.now(call.skew), base: call.base, query: &query };
        if route.operation.is_of_keys() { self.keys(route, call, &at) } else { self.secrets(route, call, &at) }
    }

    fn secrets(&self, route: Route<'_>, call: &Call<'_>, at: &Context<'_>) -> Result<Option<Value>, Failure> {
        let Route { operation, version, .. } = route;
        let name = || Name::new(route.name);
        Ok(Some(match operation {
            Operation::SetSecret => {
                let (name, id) = (name()?, self.new_id()?);
                self.grow(1, at, |state| state.secrets.set(&name, id, call.body, at))?
            }
            Operation::GetSecret => self.read(at).secrets.get(&name()?, version, at)?,
            Operation::UpdateSecret => {
                let name = name()?;
                self.change(at, |state| state.secrets.patch(&name, version, call.body, at))?
            }
            Operation::RestoreSecret => self.restore(call, at, |state| &mut state.secrets)?,
            _ => return self.common(route, at, |state| &mut state.secrets, |state| &state.secrets),
        }))
    }

    fn keys(&self, route: Route<'_>, call: &Call<'_>, at: &Context<'_>) -> Result<Option<Value>, Failure> {
        let Route { operation, version, .. } = route;
        let name = || Name::new(route.name);
        if !route.name.is_empty() {
            self.rotate_if_due(&name()?, at)?;
        }
        Ok(Some(match operation {
            Operation::CreateKey => self.add(&name()?, NewKey::create, call, at)?,
            Operation::ImportKey => self.add(&name()?, NewKey::import, call, at)?,
            Operation::GetKey => self.read(at).keys.get(&name()?, version, at)?,
            Operation::UpdateKey => {
                let name = name()?;
                self.change(at, |state| state.keys.patch(&name, version, call.body, at))?
            }
            Operation::RotateKey => {
                let name = name()?;
                let (_, bits) = self.read(at).keys.newest(&name)?;
                let (rsa, id) = (RsaKey::generate(bits)?, self.new_id()?);
                self.grow(1, at, |state| state.keys.rotate(&name, id, rsa, at))?
            }
            Operation::GetRotationPolicy => self.read(at).keys.policy(&name()?, at)?,
            Operation::SetRotationPolicy => {
                let name = name()?;
                self.change(at, |state| state.keys.set_policy(&name, call.body, at))?
            }
            Operation::Encrypt | Operation::Decrypt | Operation::WrapKey | Operation::UnwrapKey => {
                let ready = self.read(at).keys.ready(operation, &name()?, version, at)?;
                ready.run(operation, call.body)?
            }
            Operation::RestoreKey => self.restore(call, at, |state| &mut state.keys)?,
            _ => return self.common(route, at, |state| &mut state.keys, |state| &state.keys),
        }))
    }

    /// What both planes do alike.
    fn common<T: Item>(
        &self,
        route: Route<'_>,
        at: &Context<'_>,
        plane: fn(&mut State) -> &mut Plane<T>,
        read: fn(&State) -> &Plane<T>,
    ) -> Result<Option<Value>, Failure> {
        let name = || Name::new(route.name);
        let shared = || self.read(at);
        Ok(Some(match route.operation {
            Operation::ListSecrets | Operation::ListKeys => read(&shared()).list(at),
            Operation::ListDeletedSecrets | Operation::ListDeletedKeys => read(&shared()).list_deleted(at),
            Operation::ListSecretVersions | Operation::ListKeyVersions => {
                read(&shared()).list_versions(&name()?, at)?
            }
            Operation::GetDeletedSecret | Operation::GetDeletedKey => read(&shared()).get_deleted(&name()?, at)?,
            Operation::BackupSecret | Operation::BackupKey => {
                let name = name()?;
                let state = shared();
                let backup = read(&state).backup(&name, &state.backup_key, &*self.random)?;
                if backup.len() > MAX_BODY / 2 {
                    let given = format_args!("{} bytes", backup.len());
                    return Err(Failure::field(
                        "the backup",
                        format_args!("at most {} bytes long", MAX_BODY / 2),
                        given,
                    ));
                }
                json!({ "value": backup })
            }
            Operation::DeleteSecret | Operation::DeleteKey => {
                let name = name()?;
                self.change(at, |state| plane(state).delete(&name, at))?
            }
            Operation::RecoverSecret | Operation::RecoverKey => {
                let name = name()?;
                self.change(at, |state| plane(state).recover(&name, at))?
            }
            Operation::PurgeSecret | Operation::PurgeKey => {
                let name = name()?;
                self.change(at, |state| plane(state).purge(&name))?;
                return Ok(None);
            }
            _ => return Err(Failure::internal("The operation belongs to the other plane.")),
        }))
    }

    fn add(
        &self,
        name: &Name,
        make: fn(&[u8]) -> Result<NewKey, Failure>,
        call: &Call<'_>,
        at: &Context<'_>,
    ) -> Result<Value, Failure> {
        let (new, id) = (make(call.body)?, self.new_id()?);
        self.grow(1, at, |state| state.keys.add_key(name, id, new, at))
    }

    fn restore<T: Item>(
        &self,
        call: &Call<'_>,
        at: &Context<'_>,
        plane: fn(&mut State) -> &mut Plane<T>,
    ) -> Result<Value, Failure> {
        #[derive(Deserialize)]
        struct Given {
            value: Option<String>,
        }
        let given: Given = body(call.body)?;
        let sealed = given.value.ok_or_else(|| Failure::bad("The parameter value must be given."))?;
        let key = self.read(at).backup_key.clone();
        let object: Object<T> = Plane::open(&sealed, &key)?;
        self.grow(object.len(), at, |state| {
            let object = plane(state).restore(object)?;
            Ok(object.bundle(at.base, object.newest()))
        })
    }

    /// Carries out a rotation policy. Of several callers that find a rotation due, one wins.
    fn rotate_if_due(&self, name: &Name, at: &Context<'_>) -> Result<(), Failure> {
        let Some((newest, bits)) = self.read(at).keys.due(name, at.now) else { return Ok(()) };
        let (rsa, id) = (RsaKey::generate(bits)?, self.new_id()?);
        self.grow(1, at, |state| {
            if state.keys.newest(name)?.0 == newest {
                state.keys.rotate(name, id, rsa, at)?;
            }
            Ok(())
        })
    }

    fn read(&self, at: &Context<'_>) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        // What is forgotten here is left out of the file when that is written next.
        state.secrets.expire(at.now);
        state.keys.expire(at.now);
        state
    }

    fn grow<R>(
        &self,
        by: usize,
        at: &Context<'_>,
        work: impl FnOnce(&mut State) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        self.change(at, |state| {
            if state.secrets.versions() + state.keys.versions() + by > self.max_versions {
                let message = format!("The emulator is full: it holds at most {} versions.", self.max_versions);
                return Err(Failure::forbidden(message, "VaultFull"));
            }
            work(state)
        })
    }

    /// Changes the state and the file, or neither.
    fn change<R>(&self, at: &Context<'_>, work: impl FnOnce(&mut State) -> Result<R, Failure>) -> Result<R, Failure> {
        let mut state = self.read(at);
        let before = state.clone();
        let done = work(&mut state).and_then(|done| match &self.file {
            Some(file) => file.write(&state).map(|()| done),
            None => Ok(done),
        });
        if done.is_err() {
            *state = before;
        }
        done
    }

    fn now(&self, skew: i64) -> i64 {
        let since = self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX).saturating_add(skew)
    }

    fn new_id(&self) -> Result<String, Failure> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes).map_err(|_| Failure::internal("There is no randomness."))?;
        Ok(HEXLOWER.encode(&bytes))
    }
}
