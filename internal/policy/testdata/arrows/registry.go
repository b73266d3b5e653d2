package arrows

import "strings"

var shapes []Shape // registry → shape

func known(x float64) float64 {
	shapes = append(shapes, nil)
	return x
}

// label belongs to this file by its body: a call of it leads here and not to
// shape.go, where its receiver stands.
func (b *Base) label() string { return strings.ToLower(b.Name) }
