package arrows

// Circle makes circle → shape (Base).
type Circle struct {
	Base
	Radius float64
}

// Area makes circle → registry, by a function.
func (c Circle) Area() float64 { return known(c.Radius) }
