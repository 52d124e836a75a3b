//! From sections to a stack.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use figment::{
    Figment,
    value::{Dict, Value},
};
use tower_layer::Layer as _;

use super::{
    CacheConfig, Configured, Section,
    handle::Handle,
    problem::{ConfigError, Problem},
    registry::{Backend, Place, PlacedLayer, Policies, Registry},
    resilience::Guards,
    section::Reader,
    spell::shown,
};
use crate::{
    format::Format,
    health::Parts,
    name::KeyspaceName,
    near::{MIN_NEAR_BYTES, NearConfig, NearLayer, OnDegraded},
    observe::Tier,
    service::ErasedService,
};

const CACHE: &str = "cache";
const KEYSPACES: &str = "keyspaces";
const BACKEND: &str = "backend";
const NEAR: &str = "near";
/// The kind of backend of those who choose none.
pub(super) const DEFAULT_BACKEND: &str = "memory";
const RESILIENCE: &str = "resilience";

impl CacheConfig {
    /// Reads and checks all settings, and makes the stack.
    ///
    /// Errors: everything that is wrong, at once.
    pub fn build<F: Format>(&self, registry: &Registry<F>) -> Result<Configured<F>, ConfigError> {
        let reader = self.reader(&registry.policies);
        let made = Plan::read(&reader, sections(&self.figment, &reader), registry);
        let (problems, settings) = (reader.problems.into_inner(), reader.settings.into_inner());
        match made {
            Some(plan) if problems.is_empty() => {
                let warnings = reader.warnings.into_inner().into_told();
                if !warnings.is_empty() {
                    tracing::warn!(settings = warnings.len(), "settings of the configuration have no effect");
                }
                let configured = plan.put_together(Arc::clone(&self.clock), settings.into(), warnings.into());
                configured.map_err(ConfigError::new)
            }
            _ => Err(ConfigError::new(problems)),
        }
    }
}

impl CacheConfig {
    /// Reads one section of your application's own, such as `[node]`, from the same sources and by the same rules.
    ///
    /// What stands in other sections is not looked at; a section that is not there is one without settings. An application
    /// whose own sections stand in the file of a stack takes them from a configuration of their own: [`build`](Self::build)
    /// refuses what it does not know.
    ///
    /// Errors: everything that is wrong, at once, settings that `read` did not ask for among it.
    ///
    /// ```
    /// use memstache_core::config::CacheConfig;
    ///
    /// let config = CacheConfig::new().toml("[node]\nport = 3320\nnmae = 'a'");
    /// let read = config.section("node", |node| (node.count("port", 80, 1..=65_535), node.text("name", "cache")));
    /// let told = read.unwrap_err().to_string();
    /// assert!(told.contains("node.nmae is unknown; did you mean name?"), "{told}");
    /// ```
    pub fn section<T>(&self, name: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> Result<T, ConfigError> {
        let policies = Policies::new();
        let reader = self.reader(&policies);
        let value = sections(&self.figment, &reader).remove(name);
        let mut section = Section::new(&reader, name.to_owned(), value);
        let made = read(&mut section);
        section.finish();
        let problems = reader.problems.into_inner();
        if problems.is_empty() { Ok(made) } else { Err(ConfigError::new(problems)) }
    }

    fn reader<'a>(&'a self, policies: &'a Policies) -> Reader<'a> {
        Reader {
            figment: &self.figment,
            policies,
            clock: Arc::clone(&self.clock),
            problems: RefCell::new(self.problems.clone()),
            settings: RefCell::default(),
            warnings: RefCell::default(),
        }
    }
}

/// Takes the sections out of what was merged.
fn sections(figment: &Figment, reader: &Reader<'_>) -> Dict {
    figment.extract::<Dict>().unwrap_or_else(|error| {
        reader.problems.borrow_mut().push(Problem {
            path: "the configuration".to_owned(),
            message: format!("cannot be read: {}", error.kind),
            source: None,
        });
        Dict::new()
    })
}

/// All parts of a stack, before they are put together.
struct Plan<F> {
    cache: Handle<F>,
    keyspaces: BTreeMap<String, Handle<F>>,
    backend: Backend,
    near: Option<NearConfig>,
    guards: Option<Guards>,
    layers: BTreeMap<Place, PlacedLayer>,
}

impl<F: Format> Plan<F> {
    /// Reads every section; `None` if there is no backend to build on.
    fn read(reader: &Reader<'_>, mut sections: Dict, registry: &Registry<F>) -> Option<Self> {
        let mut section = Section::new(reader, CACHE.to_owned(), sections.remove(CACHE));
        let cache = Handle::new(registry).read(&mut section, registry);
        cache.check(&mut section);
        section.finish();
        let keyspaces = keyspaces(reader, sections.remove(KEYSPACES), &cache, registry);
        let backend = backend(reader, sections.remove(BACKEND), registry);
        let coherent = backend.as_ref().is_none_or(|backend| backend.changes.is_some());
        let near = near(reader, sections.remove(NEAR), coherent);
        let guards = Guards::read(reader, sections.remove(RESILIENCE));
        let mut layers = BTreeMap::new();
        for place in Place::INNERMOST_FIRST.into_iter().rev() {
            let taken = guards.as_ref().and_then(|guards| guards.has(place));
            if let Some(layer) = layer(reader, sections.remove(place.as_str()), place, taken, registry) {
                layers.insert(place, layer);
            }
        }
        let known = [CACHE, KEYSPACES, BACKEND, NEAR].into_iter();
        let known = known.chain(Place::INNERMOST_FIRST.iter().rev().map(|place| place.as_str()));
        let known = known.chain([RESILIENCE]);
        for (name, value) in &sections {
            reader.unknown("", name, known.clone(), value);
        }
        Some(Self { cache, keyspaces, backend: backend?, near, guards, layers })
    }

    fn put_together(
        self,
        clock: Arc<dyn crate::clock::Clock>,
        settings: Arc<[super::Setting]>,
        warnings: Arc<[Problem]>,
    ) -> Result<Configured<F>, Problem> {
        let Self { cache, keyspaces, backend, near, guards, mut layers } = self;
        let (mut service, mut above, mut below) = (backend.service, Parts::default(), Parts::default());
        let (mut view, mut recorder, mut metrics, mut gate) = (None, None, None, None);
        for place in Place::INNERMOST_FIRST {
            // Quotas and what is observed are above the near cache, all others below.
            if place == Place::Quota
                && let Some((config, changes)) = near.clone().zip(backend.changes.clone())
            {
                let near = NearLayer::new(config, changes).layer(service);
                view = Some(near.view());
                service = ErasedService::new(near);
            }
            if let Some(layer) = layers.remove(&place) {
                service = (layer.wrap)(service);
                if view.is_some() { &mut above } else { &mut below }.append(layer.parts);
                recorder = layer.recorder.or(recorder);
                metrics = layer.metrics.or(metrics);
                gate = layer.gate.or(gate);
            }
            if let Some(guards) = &guards {
                service = guards.wrap(place, service);
            }
        }
        if let Some(near) = &view {
            above.push(near.clone());
            service = ErasedService::with_try_hit(service, near.clone());
        }
        above.append(below);
        if let Some(guards) = &guards {
            guards.watch(&mut above);
        }
        above.append(backend.parts);
        cache.source.watch("source", &mut above);
        for (name, keyspace) in &keyspaces {
            keyspace.source.watch(&format!("source of {name}"), &mut above);
        }
        let metrics = metrics.map(|(metrics, name)| {
            let held = backend.held.map(|held| metrics.watch(&name, Tier::Store, move || held()));
            let near = view.clone().map(|view| metrics.watch(&name, Tier::Near, move || view.stats().into()));
            let calls = backend.calls.map(|calls| metrics.watch_database(&name, calls));
            [held, near, calls].into_iter().flatten().collect::<crate::error::Result<()>>().map(|()| metrics)
        });
        let metrics = metrics.transpose().map_err(|error| Problem {
            path: Place::Observe.as_str().to_owned(),
            message: format!("cannot be used: {error}"),
            source: None,
        })?;
        let service = service.with_parts(above).gated(gate);
        Ok(Configured {
            service,
            near: view,
            clock,
            cache,
            keyspaces,
            settings,
            warnings,
            recorder,
            metrics,
            #[cfg(feature = "resilience")]
            guards,
        })
    }
}

fn keyspaces<F: Format>(
    reader: &Reader<'_>,
    value: Option<Value>,
    cache: &Handle<F>,
    registry: &Registry<F>,
) -> BTreeMap<String, Handle<F>> {
    let all = match value {
        None => Dict::new(),
        Some(Value::Dict(_, all)) => all,
        Some(other) => {
            reader.note(KEYSPACES, "must be sections, one for each keyspace".to_owned(), Some(&other));
            Dict::new()
        }
    };
    let read = |(name, value): (String, Value)| {
        let path = format!("{KEYSPACES}.{}", shown(&name));
        if let Err(error) = KeyspaceName::new(&name) {
            reader.note(&path, format!("names no keyspace: {error}"), Some(&value));
        }
        let mut section = Section::new(reader, path, Some(value)).inheriting();
        let handle = cache.read(&mut section, registry);
        // What is wrong with all of them is told once.
        if cache.disagreement().is_none() {
            handle.check(&mut section);
        }
        section.finish();
        (name, handle)
    };
    all.into_iter().map(read).collect()
}

fn backend<F>(reader: &Reader<'_>, value: Option<Value>, registry: &Registry<F>) -> Option<Backend> {
    let mut section = Section::new(reader, BACKEND.to_owned(), value);
    let names: Vec<_> = registry.backends.keys().map(String::as_str).collect();
    let kind = section.kind(DEFAULT_BACKEND, &names)?;
    let made = registry.backends.get(&kind)?(&mut section);
    let made = made.map_err(|error| section.failed(&error)).ok();
    section.finish();
    made
}

fn near(reader: &Reader<'_>, value: Option<Value>, coherent: bool) -> Option<NearConfig> {
    let mut section = Section::new(reader, NEAR.to_owned(), value);
    let bytes = section.optional_bytes("max_bytes", MIN_NEAR_BYTES..=isize::MAX.unsigned_abs());
    let policy = section.policy("policy", "tiny-lfu");
    let on_degraded = match section.choice("on_degraded", "error", &["error", "near-only"]).as_str() {
        "near-only" => OnDegraded::NearOnly,
        _ => OnDegraded::Error,
    };
    if bytes.is_some() && !coherent {
        section.refuse("max_bytes", "must be none: the backend does not tell what changes in it");
    }
    let config = bytes.and_then(|bytes| NearConfig::new(bytes).map_err(|error| section.failed(&error)).ok());
    let config = config.map(|config| config.with_clock(section.clock()).with_on_degraded(on_degraded));
    let config = config.map(|config| config.with_policy(move |share| policy(share)));
    section.finish();
    if bytes.is_none() {
        reader.without_effect(NEAR, &["max_bytes"], "there is no near cache without max_bytes");
    }
    config
}

fn layer<F>(
    reader: &Reader<'_>,
    value: Option<Value>,
    place: Place,
    taken: Option<&str>,
    registry: &Registry<F>,
) -> Option<PlacedLayer> {
    let mut section = Section::new(reader, place.as_str().to_owned(), value);
    let of_place = registry.layers.keys().filter(|(of, _)| *of == place).map(|(_, name)| name.as_str());
    let names: Vec<_> = [super::section::NONE].into_iter().chain(of_place).collect();
    let kind = section.kind(super::section::NONE, &names)?;
    let make = registry.layers.get(&(place, kind));
    if let Some(taken) = taken.filter(|_| make.is_some()) {
        section.refuse("kind", format_args!("must be none, or {taken}: one of them is enough"));
    }
    let made = make.map(|make| make(&mut section));
    let made = made.and_then(|made| made.map_err(|error| section.failed(&error)).ok());
    section.finish();
    made
}
