package snibotel

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/snibdb/snib"
	"github.com/snibdb/snib/snibtest"
)

// collect returns the sums of all series, by name and attributes.
func collect(t *testing.T, reader sdk.Reader) (map[string]float64, error) {
	t.Helper()
	var out metricdata.ResourceMetrics
	err := reader.Collect(context.Background(), &out)
	got := map[string]float64{}
	add := func(name, attributes string, v float64) { got[name+" "+attributes] = v }
	for _, scope := range out.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), float64(p.Value))
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), float64(p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value)
				}
			case metricdata.Sum[float64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value)
				}
			}
		}
	}
	return got, err
}

// TestRegister: the series have the values of Stats, end with the registration, and
// are an error when the database is closed.
func TestRegister(t *testing.T) {
	ctx := context.Background()
	db := snibtest.NewDB(t, nil)
	u, err := db.CreateUser(ctx, snib.NewUser{Provider: "email", Identifier: "ada@example.com", Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := db.CreateSession(ctx, u, snib.SessionOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	db.LogIn(ctx, "email", "ada@example.com", "a guess", snib.SessionOptions{})

	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	registration, err := Register(provider.Meter("accounts"), db)
	if err != nil {
		t.Fatal(err)
	}
	got, err := collect(t, reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"snib.records kind=user": 1, "snib.records kind=session": 2, "snib.records kind=refresh_token": 0,
		"snib.passwords outcome=wrong": 1, "snib.passwords outcome=right": 0, "snib.throttled ": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
	}
	if got["snib.hash.time "] <= 0 || got["snib.writes "] < 3 || got["snib.file.size "] <= 0 {
		t.Error(got)
	}
	if len(got) != len(figures)+len(seconds) {
		t.Errorf("%d series of %d", len(got), len(figures)+len(seconds))
	}

	other, err := Register(provider.Meter("closed"), snibClosed(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := collect(t, reader); err == nil {
		t.Error("the figures of a closed database were collected")
	}
	if err := other.Unregister(); err != nil {
		t.Fatal(err)
	}
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if got, err := collect(t, reader); err != nil || len(got) > 0 {
		t.Errorf("after Unregister: %v, %v", got, err)
	}
}

func snibClosed(t *testing.T) *snib.DB {
	t.Helper()
	db, err := snib.Open(t.TempDir()+"/closed.db", snibtest.Fast(nil))
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return db
}
