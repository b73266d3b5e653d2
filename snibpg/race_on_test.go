//go:build race

package snibpg_test

// inVain says with which stores a suite runs: those that run closures once more, in
// vain. The race detector makes them slow, and sees there what there is in the others.
var inVain = []bool{true}
