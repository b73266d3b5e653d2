//go:build race

package phc

const raceDetector = true
