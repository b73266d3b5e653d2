// Package arrows is a drawing for the ruler of files: shape, circle and
// registry form a cycle of three, color and text stand outside of it.
package arrows

// Shape is implemented in circle.go, which makes no arrow.
type Shape interface{ Area() float64 }

// Base has its method in another file.
type Base struct{ Name string }

// Default makes shape → circle (Circle, Radius), which twice is one arrow.
var Default = Circle{Radius: 1}

// Doubled makes a second use of the same arrow.
func Doubled() Circle { return Circle{Radius: 2} }
