use tower_layer::Layer;

use super::Transformed;

/// Applies a [`Transform`](super::Transform) to a stack.
#[derive(Clone, Copy, Debug)]
pub struct TransformLayer<T> {
    transform: T,
}

impl<T> TransformLayer<T> {
    /// Creates the layer.
    pub const fn new(transform: T) -> Self {
        Self { transform }
    }
}

impl<S, T: Clone> Layer<S> for TransformLayer<T> {
    type Service = Transformed<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        Transformed::new(inner, self.transform.clone())
    }
}
