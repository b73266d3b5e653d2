//go:build race

package phc

import "time"

const (
	raceDetector = true
	raceWait     = time.Minute
)
