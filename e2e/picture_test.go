package e2e

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/chromedp/chromedp"
)

// maxPicture keeps the repository small.
const maxPicture = 80 << 10

// picture takes one of the window or, of a phone, of the whole page.
func (b *tab) picture(name string, whole bool) {
	b.t.Helper()
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	shot, err := png.Decode(bytes.NewReader(value(b, take)))
	if err != nil {
		b.t.Fatal(err)
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, reduce(shot)); err != nil {
		b.t.Fatal(err)
	}
	if small.Len() > maxPicture {
		b.t.Errorf("the picture %s has %d bytes, more than %d", name, small.Len(), maxPicture)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), small.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// reduce makes do with 256 colours: those that a picture has most of, then
// others that none of these is near, and the nearest for the rest. Pages are
// flat; the rest are shades at the edges of letters.
func reduce(shot image.Image) image.Image {
	counts := map[color.Color]int{}
	bounds := shot.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[shot.At(x, y)]++
		}
	}
	number := func(c color.Color) int { r, g, b, _ := c.RGBA(); return int(r<<16 | g<<8 | b) }
	all := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { // always in the same order
		return cmp.Or(counts[b]-counts[a], number(a)-number(b))
	})
	palette := color.Palette(slices.Clone(all[:min(160, len(all))]))
	for _, c := range all[len(palette):] {
		if len(palette) < 256 && distance(c, palette.Convert(c)) > 24 {
			palette = append(palette, c)
		}
	}
	index := map[color.Color]uint8{}
	for _, c := range all {
		index[c] = uint8(palette.Index(c))
	}
	small := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			small.SetColorIndex(x, y, index[shot.At(x, y)])
		}
	}
	return small
}

// distance returns by how much two colours differ in a channel at most, of 255.
func distance(a, b color.Color) (most int) {
	ar, ag, ab, _ := a.RGBA()
	br, bg, bb, _ := b.RGBA()
	for _, d := range []int{int(ar) - int(br), int(ag) - int(bg), int(ab) - int(bb)} {
		most = max(most, max(d, -d)>>8)
	}
	return most
}
