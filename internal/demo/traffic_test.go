package demo

import (
	"math"
	"reflect"
	"testing"
	"time"

	"weir.dev/weir/internal/base"
)

func TestDay(t *testing.T) {
	for seed := range uint64(20) {
		d := NewDay(seed, 30*time.Second, 400, 20)
		if want := int(math.Round(400 / Headroom * 30)); len(d.Clicks) != want {
			t.Fatalf("seed %d: %d clicks, want %d", seed, len(d.Clicks), want)
		}
		before, flash := time.Duration(0), 0
		for _, c := range d.Clicks {
			if c.At < before || c.At > d.Length || c.Post < 0 || c.Post >= d.Posts || c.Weight < 1 || c.Weight > MaxWeight || c.Print < 0 || c.Print >= 1<<40 {
				t.Fatalf("seed %d: bad click %+v after %v", seed, c, before)
			}
			before = c.At
			if c.At >= d.FlashFrom && c.At < d.FlashTo {
				flash++
			}
		}
		got := float64(flash) / (d.FlashTo - d.FlashFrom).Seconds() / d.Quiet
		if math.Abs(got-FlashFactor) > 0.5 {
			t.Errorf("seed %d: the flash crowd clicks %.2f times the quiet rate, want %d", seed, got, FlashFactor)
		}
	}
}

func TestDayIsOfItsSeed(t *testing.T) {
	one := NewDay(7, 10*time.Second, 100, 5)
	if again := NewDay(7, 10*time.Second, 100, 5); !reflect.DeepEqual(one, again) {
		t.Error("one seed gave two days")
	}
	if other := NewDay(8, 10*time.Second, 100, 5); reflect.DeepEqual(one, other) {
		t.Error("two seeds gave one day")
	}
}

func TestQuietNight(t *testing.T) {
	for hour := 1.0; hour <= 5.5; hour += 0.25 {
		if got := newShape(base.NewRand(3)).at(hour); got != 1 {
			t.Errorf("at %g it is %g of the quiet rate, want 1", hour, got)
		}
	}
}

func TestSmallestDay(t *testing.T) {
	if d := NewDay(1, time.Second, 0.1, 1); len(d.Clicks) != 1 {
		t.Errorf("%d clicks, want one", len(d.Clicks))
	}
}

func TestHour(t *testing.T) {
	d := NewDay(1, 24*time.Second, 10, 1)
	for at, want := range map[time.Duration]string{0: "00:00", 15500 * time.Millisecond: "15:30", 24 * time.Second: "24:00", 26 * time.Second: "02:00"} {
		if got := d.Hour(at); got != want {
			t.Errorf("%v is %s, want %s", at, got, want)
		}
	}
}
