// Loaded before the tests: that a property fails is all that is asked, not the least that breaks it.

import fc from "fast-check";

fc.configureGlobal({ endOnFailure: true });
