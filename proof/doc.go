// Package proof holds the tests that belong to no single noun of snib: they
// see a database as its users do, through the exported API alone, and show a
// property of the whole. A random run agrees with a model of the accounts
// (TestModel); concurrent calls have one winner; strangers write nothing; no
// secret is in the file, in a log or in an encoding; arguments outside their
// bounds change nothing; and the files of earlier versions open. Tests of one
// noun, and those that need a hook inside the library, are in the root package.
package proof
