package arrows

// print makes text → shape (Base) and text → registry (label); no arrow leads
// to text.
func print(b *Base) string { return b.label() }
