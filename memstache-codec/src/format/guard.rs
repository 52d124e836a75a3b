//! What keeps hostile bytes from being costly, whatever type they are read as.
//!
//! Formats without a limit of their own would overflow the stack on a recursive type, loop for ever on elements that
//! take no bytes, and make room for as many elements as a length claims. This wraps their deserializers: nesting ends at
//! [`MAX_DEPTH`], all sequences together have at most as many elements as there are bytes and [`FREE_ELEMENTS`] more, and
//! no size hint is larger than the input. The formats guarded here know how many elements come; where postcard hides
//! it, because there are more than bytes, they are counted.

use std::{cell::Cell, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor},
};

/// How deep values nest at most; the same as in JSON.
const MAX_DEPTH: u32 = 128;
/// How many elements that take no bytes a value may have in all.
const FREE_ELEMENTS: usize = 1 << 16;

/// What one decode may still spend, in all of its sequences together. Behind one reference, since it goes everywhere.
struct Limits {
    /// The length of the input.
    len: usize,
    /// How many elements may still come.
    elements: Cell<usize>,
    /// How many levels further down values may still nest.
    depth: Cell<u32>,
}

impl Limits {
    /// Every element of a sequence has a byte of its own, but for those that take none.
    fn new(len: usize) -> Self {
        let elements = len.saturating_add(FREE_ELEMENTS);
        Self { len, elements: Cell::new(elements), depth: Cell::new(MAX_DEPTH) }
    }

    #[inline]
    fn take<E: Error>(&self, elements: usize) -> Result<(), E> {
        let left = self.elements.get().checked_sub(elements).ok_or_else(too_many)?;
        self.elements.set(left);
        Ok(())
    }

    /// Reads one level further down.
    #[inline]
    fn deeper<T, E: Error>(&self, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let depth = self.depth.get();
        self.depth.set(depth.checked_sub(1).ok_or_else(too_deep)?);
        let value = read();
        self.depth.set(depth);
        value
    }

    #[inline]
    fn hint(&self, hint: Option<usize>) -> Option<usize> {
        hint.map(|hint| hint.min(self.len))
    }
}

#[cold]
fn too_deep<E: Error>() -> E {
    E::custom("nested too deep")
}

#[cold]
fn too_many<E: Error>() -> E {
    E::custom("more elements than there are bytes")
}

/// Reads a value of `len` bytes within limits.
pub(super) struct Seed<T>(usize, PhantomData<T>);

impl<T> Seed<T> {
    pub(super) fn new(len: usize) -> Self {
        Self(len, PhantomData)
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
        T::deserialize(Guarded { inner, limits: &Limits::new(self.0) })
    }
}

/// A deserializer within limits.
struct Guarded<'a, D> {
    inner: D,
    limits: &'a Limits,
}

/// Methods whose value cannot nest.
macro_rules! flat {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

/// Methods whose value may hold others: as many as the bytes say, or as the type does.
macro_rules! nested {
    ($by_bytes:literal: $($method:ident($($arg:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let Self { inner, limits } = self;
            limits.deeper(|| inner.$method($($arg,)* Inside::<_, $by_bytes> { inner: visitor, limits }))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guarded<'_, D> {
    type Error = D::Error;

    flat! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_bytes deserialize_unit
        deserialize_identifier
    }

    // Owned ones are read as borrowed ones: bincode would take the memory that a length claims before it looks for it.

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_bytes(visitor)
    }

    nested! {
        true:
        deserialize_any()
        deserialize_ignored_any()
        deserialize_seq()
        deserialize_map()
    }

    nested! {
        false:
        deserialize_option()
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// A visitor, or what it visits, one level further down. How many elements it has may be for the bytes to say.
struct Inside<'a, T, const BY_BYTES: bool = false> {
    inner: T,
    limits: &'a Limits,
}

/// Visits that hold nothing else.
macro_rules! leaves {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>, const BY_BYTES: bool> Visitor<'de> for Inside<'_, V, BY_BYTES> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    leaves! {
        visit_bool: bool, visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64, visit_i128: i128,
        visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64, visit_u128: u128, visit_f32: f32, visit_f64: f64,
        visit_char: char, visit_str: &str, visit_borrowed_str: &'de str, visit_string: String,
        visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8], visit_byte_buf: Vec<u8>,
    }

    #[inline]
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Guarded { inner, limits: self.limits })
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Guarded { inner, limits: self.limits })
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Self { inner: visitor, limits } = self;
        if BY_BYTES {
            let known = inner.size_hint();
            limits.take(known.unwrap_or_default())?;
            visitor.visit_seq(Listed { inner: Inside::<_> { inner, limits }, is_counted: known.is_none() })
        } else {
            visitor.visit_seq(Inside::<_> { inner, limits })
        }
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        if BY_BYTES {
            self.limits.take(inner.size_hint().unwrap_or_default())?;
        }
        self.inner.visit_map(Inside::<_> { inner, limits: self.limits })
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Inside::<_> { inner, limits: self.limits })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Inside<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Guarded { inner, limits: self.limits })
    }
}

impl<'de, 'a, A: EnumAccess<'de>> EnumAccess<'de> for Inside<'a, A> {
    type Error = A::Error;
    type Variant = Inside<'a, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let limits = self.limits;
        let (value, inner) = self.inner.variant_seed(Inside::<_> { inner: seed, limits })?;
        Ok((value, Inside { inner, limits }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Inside<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Inside::<_> { inner: seed, limits: self.limits })
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Inside::<_> { inner: visitor, limits: self.limits })
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Inside::<_> { inner: visitor, limits: self.limits })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Inside<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Inside::<_> { inner: seed, limits: self.limits })
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.limits.hint(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Inside<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(Inside::<_> { inner: seed, limits: self.limits })
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Inside::<_> { inner: seed, limits: self.limits })
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.limits.hint(self.inner.size_hint())
    }
}

/// As many elements as the bytes say. One type whether they are counted or not: with two, neither would be inlined.
struct Listed<'a, A> {
    inner: Inside<'a, A>,
    /// Whether their number was not known before.
    is_counted: bool,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Listed<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        if self.is_counted {
            // The end counts as one, too: a value that is looked at on its way out is copied once more.
            self.inner.limits.take(1)?;
        }
        self.inner.next_element_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}
