package main

import (
	"fmt"
	"image/color"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// charted has the figures of the chart, which has a panel for each.
func charted() []figure {
	return []figure{tcpFigure(ways[0], 1, 1500, cubic), tcpFigure(ways[1], 1, 1500, cubic), floodFigure(ways[0], 1), floodFigure(ways[1], 1), askTCP50}
}

// draw writes an SVG chart with a bar for the median of each candidate, and a line from the lowest to the highest round.
func (r *results) draw(path string) error {
	if path == "" {
		return nil
	}
	var panels []outcome
	for _, f := range charted() {
		at := slices.IndexFunc(r.Figures, func(o outcome) bool { return o.Name == f.Name })
		if at >= 0 {
			panels = append(panels, r.Figures[at])
		}
	}
	if len(panels) == 0 {
		return nil
	}
	var length vg.Length
	for _, panel := range panels {
		length += height(panel)
	}
	canvas := vgsvg.New(18*vg.Centimeter, length)
	rest := draw.New(canvas)
	for _, panel := range panels {
		p, err := chart(panel)
		if err != nil {
			return fmt.Errorf("draw the chart: %w", err)
		}
		own := rest
		own.Min.Y = rest.Max.Y - height(panel)
		rest.Max.Y = own.Min.Y
		p.Draw(own)
	}
	return save(path, canvas)
}

func height(o outcome) vg.Length { return vg.Length(len(o.Rows))*0.6*vg.Centimeter + 2*vg.Centimeter }

func chart(o outcome) (*plot.Plot, error) {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text = fmt.Sprintf("%s (%s)", o.Name, o.Unit)
	p.X.Min = 0
	var names []string
	for i := range o.Rows { // the first candidate is at the top
		row := o.Rows[len(o.Rows)-1-i]
		names = append(names, row.Candidate+"        ") // space for a wider font of the viewer
		bar, err := plotter.NewBarChart(plotter.Values{row.Median}, vg.Centimeter*0.4)
		if err != nil {
			return nil, err
		}
		bar.Horizontal, bar.XMin, bar.LineStyle.Width = true, float64(i), 0
		bar.Color = color.RGBA{R: 0xb0, G: 0xb8, B: 0xc4, A: 0xff}
		if row.Candidate == ourselves {
			bar.Color = color.RGBA{R: 0x1f, G: 0x6f, B: 0xb5, A: 0xff}
		}
		whisker, err := plotter.NewLine(plotter.XYs{{X: row.Min, Y: float64(i)}, {X: row.Max, Y: float64(i)}})
		if err != nil {
			return nil, err
		}
		p.Add(bar, whisker)
	}
	p.NominalY(names...)
	return p, nil
}

func save(path string, canvas *vgsvg.Canvas) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the chart: %w", err)
	}
	if _, err := canvas.WriteTo(file); err != nil {
		_ = file.Close()
		return fmt.Errorf("write the chart %s: %w", path, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write the chart %s: %w", path, err)
	}
	return nil
}
