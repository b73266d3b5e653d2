package arrows

// color makes color → shape (Default) and, by a field alone, color → circle.
func color() float64 { return Default.Radius }
