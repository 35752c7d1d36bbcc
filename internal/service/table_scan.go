package service

import (
	"context"

	"weir.dev/weir/internal/model"
)

// Scan reads a page of a table's items, tablet after tablet. Items come in
// the order of their slots, so the key of the last one read is all that the
// next page needs, whatever became of the tablets meanwhile. Errors are those
// of GetItem.
func (s *Service) Scan(ctx context.Context, req *ScanRequest) (*Page, error) {
	t, err := s.table(ctx, req.Table)
	if err != nil {
		return nil, err
	}
	if err := checkProjection(t, req.Projection); err != nil {
		return nil, err
	}
	if err := checkCondition(t, req.Filter); err != nil {
		return nil, err
	}
	lo, hi := segment(req.Segment, req.TotalSegments)
	scan := model.Scan{
		LoSlot: lo, Filter: encodeCondition(req.Filter), Projection: encodeProjection(req.Projection),
		Limit: uint64(req.Limit), MaxBytes: model.MaxPageBytes, CountOnly: req.CountOnly,
	}
	if req.StartKey != nil {
		start, slot, err := t.startKey(req.StartKey)
		if err != nil {
			return nil, err
		}
		if uint32(slot) < lo || uint32(slot) >= hi {
			return nil, invalidf(msgStartSegment, req.TotalSegments, req.Segment)
		}
		scan.LoSlot, scan.After = uint32(slot), start
	}
	return s.scan(ctx, t, &scan, hi, req.Strong)
}

// segment is the range of slots [lo, hi) of one part of a parallel scan.
func segment(part, total int) (lo, hi uint32) {
	if total <= 1 {
		return 0, model.SlotCount
	}
	return uint32(uint64(part) * model.SlotCount / uint64(total)), uint32(uint64(part+1) * model.SlotCount / uint64(total))
}

// scan walks the tablets from scan.LoSlot to hi until the page is full.
func (s *Service) scan(ctx context.Context, t *table, scan *model.Scan, hi uint32, strong bool) (*Page, error) {
	page, size := &Page{}, uint64(0)
	for scan.LoSlot < hi && page.LastKey == nil {
		slot := model.Slot(scan.LoSlot)
		tablet, ok := s.cluster.Catalog().TabletOf(slot)
		if !ok {
			return nil, model.Errorf(model.ErrUnavailable, "no tablet owns slot %d", slot)
		}
		scan.HiSlot = min(hi, tablet.Hi)
		var res model.PageResult
		if err := s.read(ctx, model.QueryScan, t, slot, scan.Append(nil), strong, res.Decode); err != nil {
			return nil, err
		}
		if err := page.add(t, &res); err != nil {
			return nil, err
		}
		size += res.Size
		scan.LoSlot, scan.After = scan.HiSlot, nil
		scan.MaxBytes -= min(scan.MaxBytes, res.Size)
		if scan.Limit > 0 { // a limit that is reached has set LastKey
			scan.Limit -= res.Scanned
		}
	}
	page.Units = readUnits(size, strong)
	return page, nil
}
