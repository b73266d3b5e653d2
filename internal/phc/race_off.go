//go:build !race

package phc

const (
	raceDetector = false
	raceWait     = 0
)
