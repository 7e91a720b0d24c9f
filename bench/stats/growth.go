package stats

import "math"

// Point is a cost at a size; both are above 0.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Growth is how a cost grows with the size.
type Growth string

// The kinds of growth. Linear is all up to n log n.
const (
	Flat   Growth = "flat"
	Linear Growth = "linear"
	Worse  Growth = "worse than n log n"
)

const (
	flatMax   = 0.2  // exponent up to which a cost is flat
	tolerance = 0.2  // of the exponent, over that of n log n
	endMore   = 0.15 // more tolerance for the last two points alone
)

// Judge fits the exponent to the points that are above noise, and says how the
// cost grows. Where only one is, it and the one before it are taken, the latter
// as if it were just noise: the cost grows at least so fast. The last two points
// are judged alone too: what begins to grow late hides in the fit of all.
func Judge(points []Point, noise float64) (exponent float64, g Growth) {
	var above []Point
	for i, p := range points {
		if p.Y < noise {
			continue
		}
		if len(above) == 0 && i == len(points)-1 && i > 0 {
			above = append(above, Point{points[i-1].X, noise})
		}
		above = append(above, p)
	}
	if len(above) < 2 {
		return 0, Flat
	}
	exponent = Exponent(above)
	end := above[len(above)-2:]
	switch {
	case exponent > nLogN(above)+tolerance, Exponent(end) > nLogN(end)+tolerance+endMore:
		return exponent, Worse
	case exponent > flatMax:
		return exponent, Linear
	}
	return exponent, Flat
}

// Exponent is the slope of the straight line that fits the points best when
// both axes are logarithmic (least squares): k where the cost is c·n^k.
func Exponent(points []Point) float64 {
	var x, y float64
	n := float64(len(points))
	for _, p := range points {
		x += math.Log(p.X) / n
		y += math.Log(p.Y) / n
	}
	var xx, xy float64
	for _, p := range points {
		dx := math.Log(p.X) - x
		xx += dx * dx
		xy += dx * (math.Log(p.Y) - y)
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}

// nLogN is the exponent that a cost of n log n would have at these sizes.
func nLogN(points []Point) float64 {
	ideal := make([]Point, len(points))
	for i, p := range points {
		ideal[i] = Point{p.X, p.X * math.Log(p.X+1)}
	}
	return Exponent(ideal)
}
