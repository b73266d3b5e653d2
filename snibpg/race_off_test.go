//go:build !race

package snibpg_test

var inVain = []bool{false, true}
