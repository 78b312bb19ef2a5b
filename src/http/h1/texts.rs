//! The errors of the codec as text.

/// Gives each variant of an error its text. A variant without one does not compile.
macro_rules! texts {
    ($error:ident { $($variant:ident => $text:literal,)+ }) => {
        #[cfg(test)]
        impl $error {
            /// All variants.
            pub(super) const ALL: &[$error] = &[$($error::$variant),+];
        }

        impl core::fmt::Display for $error {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(match self {
                    $($error::$variant => $text,)+
                })
            }
        }

        impl core::error::Error for $error {}
    };
}

#[cfg(test)]
mod tests {
    use core::fmt::Display;

    use super::super::encode::EncodeError;
    use super::super::error::Error;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    /// A log or a test that prints the text knows which error it was.
    #[test]
    fn each_error_has_a_text_of_its_own() {
        let first = "too many empty lines before the request line";
        assert_differ(Error::ALL, first);
        assert_differ(EncodeError::ALL, "method is not a token");
    }

    fn assert_differ(errors: &[impl Display], first: &str) {
        let mut texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], first);
        assert!(texts.iter().all(|text| !text.is_empty()));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), errors.len());
    }
}
