package pipe

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

func TestCreateRefuses(t *testing.T) {
	inPlant(t, func(p *plant) {
		for name, c := range map[string]struct {
			change func(*Settings)
			want   model.ErrorKind
			says   string
		}{
			"no name":                  {func(s *Settings) { s.Name = "" }, model.ErrValidation, "name"},
			"a name with a space":      {func(s *Settings) { s.Name = "a b" }, model.ErrValidation, "name"},
			"a long name":              {func(s *Settings) { s.Name = strings.Repeat("x", 65) }, model.ErrValidation, "name"},
			"a negative rate":          {func(s *Settings) { s.Rate = -1 }, model.ErrValidation, "rate"},
			"no number":                {func(s *Settings) { s.Rate = math.NaN() }, model.ErrValidation, "rate"},
			"an infinite rate":         {func(s *Settings) { s.Rate = math.Inf(1) }, model.ErrValidation, "rate"},
			"a tiny rate":              {func(s *Settings) { s.Rate = 0.0001 }, model.ErrValidation, "0.001"},
			"no queue":                 {func(s *Settings) { s.From = "queue:nobody" }, model.ErrNotFound, "nobody"},
			"a source of no kind":      {func(s *Settings) { s.From = "clicks" }, model.ErrValidation, "queue:NAME"},
			"a source without name":    {func(s *Settings) { s.From = "queue:" }, model.ErrValidation, "queue:NAME"},
			"a table as source":        {func(s *Settings) { s.From = "table:posts" }, model.ErrValidation, "queue:NAME"},
			"no table":                 {func(s *Settings) { s.To = "table:nobody" }, model.ErrNotFound, "nobody"},
			"a queue as target":        {func(s *Settings) { s.To = "queue:clicks" }, model.ErrValidation, "table:NAME"},
			"a malformed source":       {func(s *Settings) { s.Values[":n"] = "$." }, model.ErrValidation, "malformed"},
			"dead letters in a circle": {func(s *Settings) { s.DeadLetter = "queue:clicks" }, model.ErrValidation, "dead letters"},
			"dead letters in a table":  {func(s *Settings) { s.DeadLetter = "table:posts" }, model.ErrValidation, "queue:NAME"},
			"a huge mapping": {func(s *Settings) {
				s.Key = map[string]string{"id": `"` + strings.Repeat("x", 1000) + `"`}
				s.Values = map[string]string{":n": "1"}
				s.Names = map[string]string{"#a": strings.Repeat("x", 70_000)}
				s.Update = "ADD #a :n"
			}, model.ErrValidation, ""},
		} {
			s := likes()
			c.change(s)
			if err := p.engine.Create(p.ctx, s); kindOf(err) != c.want || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if all, err := p.engine.List(p.ctx); err != nil || len(all) != 0 {
			t.Errorf("%d pipes were made, %v", len(all), err)
		}
	})
}

func TestCreateListDescribe(t *testing.T) {
	inPlant(t, func(p *plant) {
		s := likes()
		s.Rate, s.Paused, s.DeadLetter = 12.5, true, "queue:rest"
		p.create(s)
		if err := p.engine.Create(p.ctx, likes()); kindOf(err) != model.ErrInUse {
			t.Errorf("the name is taken: %v", err)
		}
		p.send(click("a", 1), click("a", 2))
		got, progress, err := p.engine.Describe(p.ctx, "likes")
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("described as %+v, %v\nwant %+v", got, err, s)
		}
		if *progress != (Progress{Backlog: 2, DrainSeconds: 2 / 12.5}) {
			t.Errorf("progress %+v", progress)
		}
		all, err := p.engine.List(p.ctx)
		if err != nil || len(all) != 1 || !reflect.DeepEqual(all[0], s) {
			t.Errorf("listed as %+v, %v", all, err)
		}
		if n := p.left("rest"); n != 0 {
			t.Errorf("the dead-letter queue holds %d", n)
		}
		if _, _, err := p.engine.Describe(p.ctx, "nobody"); kindOf(err) != model.ErrNotFound {
			t.Errorf("describing nobody: %v", err)
		}
		bad, on := -1.0, true
		if err := p.engine.Change(p.ctx, "likes", &bad, &on); kindOf(err) != model.ErrValidation {
			t.Errorf("a negative rate: %v", err)
		}
		if err := p.engine.Change(p.ctx, "nobody", nil, &on); kindOf(err) != model.ErrNotFound {
			t.Errorf("changing nobody: %v", err)
		}
	})
}
