//! The definition of a block of keys, and of the words an option knows: written once, in the macros of this file.

use serde_json::{Map as JsonMap, Value as Json};

use crate::{
    key::{Key, Kind},
    read::Reader,
    tree::{Map, Node},
};

/// A value of a spec: numbers, texts, options, lists and blocks.
pub trait Value: Sized {
    /// The type of the value.
    fn kind() -> Kind;

    /// The value of a node; a problem goes to the reader and leaves `None`.
    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Self>;

    /// The value of a node on top of a default. Blocks take over key by key, all else as a whole.
    fn merged(self, reader: &mut Reader<'_>, node: &Node, key: &Key) -> Self {
        Self::read(reader, node, key).unwrap_or(self)
    }

    /// The value as it stands in YAML.
    fn to_json(&self) -> Json;
}

/// A mapping with fixed keys, made by [`block!`](crate::block!).
pub trait Block: Default {
    /// What the block is for.
    fn about() -> String;

    /// Its keys, those of flattened blocks first.
    fn keys() -> &'static [Key];

    /// Replaces by what is written, key by key; problems go to the reader.
    fn merge(self, reader: &mut Reader<'_>, map: &Map) -> Self;

    /// All keys in the order of the definition, as they stand in YAML.
    fn to_map(&self) -> JsonMap<String, Json>;
}

impl<B: Block> Value for B {
    fn kind() -> Kind {
        Kind::Block(B::keys().to_vec())
    }

    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Self> {
        reader.block(node, key, B::default())
    }

    fn merged(self, reader: &mut Reader<'_>, node: &Node, key: &Key) -> Self {
        // A node that is no mapping is reported; the spec is then refused, so any value will do.
        reader.block(node, key, self).unwrap_or_default()
    }

    fn to_json(&self) -> Json {
        Json::Object(self.to_map())
    }
}

/// Defines a block: each key once, with meaning (doc comment), name, type, default and rules.
///
/// ```
/// hearth_spec::block! {
///     /// Learning rate and its schedule.
///     pub struct OptimSpec {
///         /// Peak rate, reached after the warm-up.
///         lr: f64 = 1e-4 => min(0.0), known_as(&["learning_rate"]),
///         /// Name of the schedule.
///         schedule as "type": String = "cosine".into(),
///     }
/// }
/// assert_eq!(OptimSpec::default().lr, 1e-4);
/// ```
///
/// The rules after `=>` are methods of [`Key`]. `flatten name: Type` in front of the keys takes over
/// all keys of another block. Without `= default` a key starts as `Default::default()`.
#[macro_export]
macro_rules! block {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $name:ident {
            $( flatten $flat:ident : $flat_type:ty $(= $flat_default:expr)? , )*
            $(
                $(#[doc = $doc:literal])+
                $field:ident $(as $yaml:literal)? : $type:ty
                    $(= $default:expr)?
                    $(=> $( $rule:ident ( $($argument:expr),* ) ),+ )? ,
            )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $(
                #[doc = concat!("The keys of [`", stringify!($flat_type), "`].")]
                pub $flat: $flat_type,
            )*
            $( $(#[doc = $doc])+ pub $field: $type, )*
        }

        impl ::core::default::Default for $name {
            fn default() -> Self {
                Self {
                    $( $flat: $crate::block!(@default $($flat_default)?), )*
                    $( $field: $crate::block!(@default $($default)?), )*
                }
            }
        }

        impl $crate::Block for $name {
            fn about() -> ::std::string::String {
                $crate::running_text(concat!($($about, "\n"),+))
            }

            fn keys() -> &'static [$crate::Key] {
                static KEYS: ::std::sync::OnceLock<::std::vec::Vec<$crate::Key>> =
                    ::std::sync::OnceLock::new();
                KEYS.get_or_init(|| {
                    let start = Self::default();
                    let flattened: ::std::vec::Vec<::std::vec::Vec<$crate::Key>> =
                        ::std::vec![$( $crate::flattened_keys(&start.$flat) ),*];
                    let own: ::std::vec::Vec<$crate::Key> = ::std::vec![
                        $(
                            $crate::Key::new(
                                $crate::block!(@name $field $($yaml)?),
                                concat!($($doc, "\n"),+),
                                &start.$field,
                            )
                            $($( .$rule($($argument),*) )+)?,
                        )*
                    ];
                    flattened.into_iter().flatten().chain(own).collect()
                })
            }

            fn merge(self, reader: &mut $crate::Reader<'_>, map: &$crate::Map) -> Self {
                let keys = <Self as $crate::Block>::keys();
                Self {
                    $( $flat: $crate::Block::merge(self.$flat, reader, map), )*
                    $(
                        $field: reader.value(
                            keys,
                            $crate::block!(@name $field $($yaml)?),
                            map,
                            self.$field,
                        ),
                    )*
                }
            }

            fn to_map(&self) -> $crate::JsonMap<::std::string::String, $crate::Json> {
                let keys = <Self as $crate::Block>::keys();
                let mut map = $crate::JsonMap::new();
                $( map.extend($crate::Block::to_map(&self.$flat)); )*
                $(
                    $crate::write_key(
                        &mut map,
                        keys,
                        $crate::block!(@name $field $($yaml)?),
                        $crate::Value::to_json(&self.$field),
                    );
                )*
                map
            }
        }
    };
    (@default $default:expr) => { $default };
    (@default) => { ::core::default::Default::default() };
    (@name $field:ident $yaml:literal) => { $yaml };
    (@name $field:ident) => { stringify!($field) };
}

/// Defines the words of an option: each once, with meaning (doc comment), name and other spellings.
///
/// ```
/// hearth_spec::options! {
///     /// Update rule.
///     pub enum Optimizer {
///         /// Adam with decoupled weight decay.
///         AdamW = "adamw" | "adam_w",
///         /// Layer-wise adaptive rates.
///         Lamb = "lamb",
///     }
/// }
/// assert_eq!(Optimizer::AdamW.as_str(), "adamw");
/// ```
#[macro_export]
macro_rules! options {
    (
        $(#[doc = $about:literal])+
        $vis:vis enum $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $variant:ident = $word:literal $(| $alias:literal)* ,
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $name {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl $name {
            /// The word as TAO writes it.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::Value for $name {
            fn kind() -> $crate::Kind {
                $crate::Kind::Options(&[
                    $(
                        $crate::Choice {
                            name: $word,
                            aliases: &[$($alias),*],
                            meaning: concat!($($doc, "\n"),+),
                        },
                    )+
                ])
            }

            fn read(
                reader: &mut $crate::Reader<'_>,
                node: &$crate::Node,
                key: &$crate::Key,
            ) -> ::core::option::Option<Self> {
                let found = reader.option(node, key, &<Self as $crate::Value>::kind())?;
                [$( Self::$variant, )+].into_iter().nth(found)
            }

            fn to_json(&self) -> $crate::Json {
                $crate::Json::from(self.as_str())
            }
        }
    };
}

/// For [`block!`](crate::block!): the keys of a flattened block with the defaults of its parent.
#[doc(hidden)]
pub fn flattened_keys<B: Block>(start: &B) -> Vec<Key> {
    let defaults = start.to_map();
    let keys = B::keys().iter().cloned();
    keys.map(|key| key.clone().with_default(&defaults[key.name])).collect()
}

/// For [`block!`](crate::block!): adds one value as it stands in YAML.
#[doc(hidden)]
pub fn write_key(map: &mut JsonMap<String, Json>, keys: &[Key], name: &str, value: Json) {
    let value = match find_key(keys, name) {
        Some(key) => key.written(value),
        None => value,
    };
    map.insert(name.to_owned(), value);
}

pub(crate) fn find_key<'a>(keys: &'a [Key], name: &str) -> Option<&'a Key> {
    keys.iter().find(|key| key.name == name)
}
