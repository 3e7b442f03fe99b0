"""Estimators of final performance: feature histories, and what they are compared with."""

from automl_core.hookspecs import Register, hookimpl


@hookimpl
def automl_estimators(register: Register) -> None:
    register(
        "feature-history",
        "automl_feature_history.history:FeatureHistory",
        summary="classifiers refitted on the features of the last epochs vote",
    )
    register("last", "automl_feature_history.curves:Last", summary="the newest point of the curve")
    register("best", "automl_feature_history.curves:Best", summary="the best point of the curve so far")
    register(
        "learning-curve",
        "automl_feature_history.parametric:LearningCurve",
        summary="parametric curves fitted to the points so far, extrapolated",
    )
    register(
        "lcnet",
        "automl_feature_history.lcnet:LCNet",
        summary="a Bayesian neural network fed with the curves of all trials",
    )
    register(
        "naswot",
        "automl_feature_history.naswot:NASWOT",
        summary="how differently the untrained network responds to different images",
    )
