//go:build race

package snib_test

const raceDetector = true
