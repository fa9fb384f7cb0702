"""A rest whose equations are sparse and stay so: levels with known relationships, crossed effects that hardly meet."""
